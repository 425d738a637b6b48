//go:build linux

package iptables_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/firewall/iptables"
)

func TestMain(m *testing.M) {
	if want := os.Getenv(capsEnv); want != "" {
		ordinaryUser(want)
	}
	firewalltest.Main(m)
}

// A variant is one of the two kinds of iptables.
type variant struct{ v4, v6 string }

var (
	nft    = variant{"iptables-nft", "ip6tables-nft"}
	legacy = variant{"iptables-legacy", "ip6tables-legacy"}
)

// need skips where the variant cannot be.
func (v variant) need(t testing.TB) {
	t.Helper()
	firewalltest.NeedNamespace(t)
	for _, tool := range []string{v.v4, v.v6, "ipset"} {
		firewalltest.NeedTool(t, tool)
	}
	if v != legacy {
		return
	}
	if firewalltest.InUserNamespace() {
		t.Skip("the legacy iptables is for the root of the host")
	}
	t.Setenv("XTABLES_LOCKFILE", filepath.Join(t.TempDir(), "lock")) // not the host's
	for _, tool := range []string{v.v4, v.v6} {
		// A table comes with the first question, and never goes.
		run(t, "", tool, "-t", "raw", "-S")
		run(t, "", tool, "-t", "filter", "-S")
	}
}

func (v variant) open(t testing.TB, o firewall.Options) firewall.Backend {
	b, err := iptables.New(o, iptables.Programs{IPTables: v.v4, IP6Tables: v.v6})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs a program: what somebody else does.
func run(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	firewalltest.NeedTool(t, args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v: %s", args, err, &stderr)
	}
	return string(out)
}

// both runs iptables for both families.
func (v variant) both(t testing.TB, args ...string) {
	t.Helper()
	run(t, "", append([]string{v.v4}, args...)...)
	run(t, "", append([]string{v.v6}, args...)...)
}

// passing is what changes by itself: times, counters, seeds and sizes.
var passing = regexp.MustCompile(`(?m)^#.*\n| initval \S+| hashsize \d+| timeout [1-9]\d*| (packets|bytes) \d+|\[\d+:\d+\]`)

// snapshot is the whole firewall of the host.
func (v variant) snapshot(t testing.TB) string {
	t.Helper()
	texts := []string{run(t, "", v.v4+"-save"), run(t, "", v.v6+"-save"), run(t, "", "nft", "-s", "list", "ruleset")}
	sets := strings.Split(run(t, "", "ipset", "save"), "\n")
	for i := range sets {
		sets[i] = passing.ReplaceAllString(sets[i], "")
	}
	slices.Sort(sets) // the kernel's order changes when a set is filled anew
	return passing.ReplaceAllString(strings.Join(texts, "\n"), "") + strings.Join(sets, "\n")
}

func chain(owner string) string { return strings.ToUpper(owner) }

func (v variant) suite() firewalltest.Suite {
	restore := func(text string) func(testing.TB, string) {
		return func(t testing.TB, owner string) {
			text := strings.NewReplacer("OWNER", owner, "CHAIN", chain(owner)).Replace(text)
			run(t, text, "ipset", "restore")
		}
	}
	both := func(args ...string) func(testing.TB, string) {
		return func(t testing.TB, owner string) {
			args := slices.Clone(args)
			for i := range args {
				args[i] = strings.NewReplacer("OWNER", owner, "CHAIN", chain(owner)).Replace(args[i])
			}
			v.both(t, args...)
		}
	}
	s := firewalltest.Suite{
		New:       v.open,
		Deadlines: true,
		Persists:  true,
		Snapshot:  v.snapshot,
		Foreign: func(t testing.TB) {
			before := run(t, "", "nft", "list", "ruleset")
			run(t, "create postmoat hash:net\nadd postmoat 192.0.2.99\ncreate postmoat-mine hash:ip timeout 9999\nadd postmoat-mine 192.0.2.1\n", "ipset", "restore")
			run(t, "", v.v4, "-N", "postmoat")
			run(t, "", v.v4, "-A", "postmoat", "-m", "set", "--match-set", "postmoat-mine", "src", "-j", "DROP")
			v.both(t, "-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", "22", "-m", "comment", "--comment", "not yours -j POSTMOAT", "-j", "ACCEPT")
			v.both(t, "-t", "raw", "-N", "POSTMOAT_C")
			v.both(t, "-t", "raw", "-A", "PREROUTING", "-j", "POSTMOAT_C")
			t.Cleanup(func() {
				v.both(t, "-t", "raw", "-F")
				v.both(t, "-t", "raw", "-X")
				run(t, "", v.v4, "-F")
				run(t, "", v.v4, "-X")
				run(t, "", "ipset", "destroy")
				run(t, "", "nft", "flush", "ruleset")
				run(t, before, "nft", "-f", "-")
			})
		},
		Wrecks: map[string]func(testing.TB, string){
			"an empty chain":           both("-t", "raw", "-N", "CHAIN"),
			"a set that was set aside": restore("create OWNER-smtp4-hosts+ hash:net family inet\nadd OWNER-smtp4-hosts+ 192.0.2.1\ncreate OWNER-allow6+ hash:net family inet6 timeout 7\n"),
			"a set without timeouts":   restore("create OWNER-smtp4-hosts hash:net family inet\nadd OWNER-smtp4-hosts 192.0.2.1\n"),
			"a small set":              restore("create OWNER-smtp4-hosts hash:net family inet timeout 0 counters maxelem 3\n"),
			"a set of another type":    restore("create OWNER-login6-nets bitmap:port range 1-100\ncreate OWNER-allow4 hash:net family inet6\n"),
			"a set of another type in a rule": func(t testing.TB, owner string) {
				restore("create OWNER-smtp4-hosts hash:ip\n")(t, owner)
				run(t, "", v.v4, "-t", "raw", "-N", chain(owner))
				run(t, "", v.v4, "-t", "raw", "-A", chain(owner), "-m", "set", "--match-set", owner+"-smtp4-hosts", "src", "-j", "ACCEPT")
				run(t, "", v.v4, "-t", "raw", "-A", "PREROUTING", "-j", chain(owner))
				run(t, "", v.v4, "-t", "raw", "-A", "PREROUTING", "-m", "comment", "--comment", `an "old" one`, "-g", chain(owner))
			},
		},
		Damages: map[string]func(testing.TB, string){
			"flush the table":        both("-t", "raw", "-F"),
			"flush the chain":        both("-t", "raw", "-F", "CHAIN"),
			"flush PREROUTING":       both("-t", "raw", "-F", "PREROUTING"),
			"a rule before ours":     both("-t", "raw", "-I", "CHAIN", "-j", "ACCEPT"),
			"a rule is gone":         both("-t", "raw", "-D", "CHAIN", "4"),
			"called twice":           both("-t", "raw", "-A", "PREROUTING", "-j", "CHAIN"),
			"flush a set":            restore("flush OWNER-smtp4-hosts\nflush OWNER-smtp6-nets\n"),
			"an entry without end":   restore("add OWNER-smtp4-hosts 192.0.2.77\n"),
			"an entry of ours gone":  restore("add OWNER-smtp4-hosts 192.0.2.77 timeout 60\nadd OWNER-smtp4-hosts 192.0.2.78 timeout 60\n"),
			"a network among hosts":  restore("add OWNER-smtp4-hosts 192.0.2.0/25\n"),
			"an exception":           restore("add OWNER-smtp6-nets 2001:db8:0:700::/60 nomatch\n"),
			"the allowlist changed":  restore("add OWNER-allow4 192.0.2.0/24\n"),
			"another set swapped in": restore("create x hash:net family inet\nswap x OWNER-smtp4-hosts\ndestroy x\n"),
			"everything is gone": func(t testing.TB, owner string) {
				v.both(t, "-t", "raw", "-F")
				v.both(t, "-t", "raw", "-X")
				for _, set := range strings.Fields(run(t, "", "ipset", "list", "-n")) {
					if strings.HasPrefix(set, owner+"-") {
						run(t, "", "ipset", "destroy", set)
					}
				}
			},
		},
	}
	if v == nft {
		s.Damages["flush ruleset"] = func(t testing.TB, owner string) { run(t, "", "nft", "flush", "ruleset") }
	}
	return s
}

func TestSuite(t *testing.T) {
	for name, v := range map[string]variant{"nft": nft, "legacy": legacy} {
		t.Run(name, func(t *testing.T) {
			v.need(t)
			firewalltest.Run(t, v.suite())
		})
	}
}

func TestPackets(t *testing.T) {
	for name, v := range map[string]variant{"nft": nft, "legacy": legacy} {
		t.Run(name, func(t *testing.T) {
			v.need(t)
			firewalltest.Packets(t, v.suite())
		})
	}
}
