package pf_test

import (
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/firewall/pf"
	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
)

// mainRules are those of an operator who has done what Advice says.
const mainRules = `
anchor "postmoat"
anchor "postmoat_b"
block in all
pass in quick proto tcp from any to any port { 22 25 587 993 }
`

// start is a host that is ready for us, and its clock.
func start(t testing.TB, f pftest.Flavour) (w *pftest.World, clock func() time.Time) {
	w = pftest.New(t, f)
	w.Load(mainRules)
	return w, func() time.Time { return time.Unix(w.State().Now, 0) }
}

func pass(w *pftest.World, d time.Duration) {
	w.Change(func(s *pftest.State) { s.Now += int64(d / time.Second) })
}

func open(t testing.TB, w *pftest.World, o firewall.Options) *pf.Backend {
	t.Helper()
	b, err := pf.New(pf.Options{Options: o, Path: w.Path()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSuite(t *testing.T) {
	for _, flavour := range pftest.Flavours {
		t.Run(string(flavour), func(t *testing.T) {
			w, _ := start(t, flavour)
			// Many short steps of the suite's clock are some seconds.
			now := time.Unix(w.State().Now, 0)
			s := suite(w, &now)
			if flavour != pftest.FreeBSD { // it has the tightest limits
				s.Large = 20_000
			}
			firewalltest.Run(t, s)
			allowed(t, w)
		})
	}
}

func suite(w *pftest.World, now *time.Time) firewalltest.Suite {
	inner := func(owner string) string { return owner + "/cut" }
	hosts := func(owner string) string { return owner + "_smtp_hosts" }
	allow := func(owner string) string { return owner + "_allow" }
	return firewalltest.Suite{
		New: func(t testing.TB, o firewall.Options) firewall.Backend { return open(t, w, o) },
		// The deadlines are the backend's own; the bans end with it (Close).
		Deadlines: true,
		Now:       func() time.Time { return *now },
		Pass:      func(d time.Duration) { *now = now.Add(d) },
		Snapshot:  func(testing.TB) string { return w.Snapshot() },
		Foreign: func(t testing.TB) {
			w.Must("table <fail2ban> persist\nblock in quick proto tcp from <fail2ban> to any port 22\n", "-a", "f2b/sshd", "-f", "-")
			w.Must("192.0.2.99\n", "-a", "f2b/sshd", "-t", "fail2ban", "-T", "add", "-f", "-")
			w.Must("192.0.2.98\n", "-t", "spamd", "-T", "add", "-f", "-")
			t.Cleanup(func() {
				w.Must("", "-a", "f2b/sshd", "-F", "rules")
				w.Must("", "-a", "f2b/sshd", "-t", "fail2ban", "-T", "kill")
				w.Must("", "-t", "spamd", "-T", "kill")
			})
		},
		Wrecks: map[string]func(testing.TB, string){
			"an anchor with other rules": func(t testing.TB, owner string) {
				w.Must("block in all\n", "-a", owner, "-f", "-")
			},
			"tables without rules": func(t testing.TB, owner string) {
				w.Must("192.0.2.77\n", "-a", owner, "-t", allow(owner), "-T", "add", "-f", "-")
				w.Must("240.0.0.0\n", "-a", inner(owner), "-t", hosts(owner), "-T", "add", "-f", "-")
			},
			"tables of somebody else": func(t testing.TB, owner string) {
				w.Must("192.0.2.77\n", "-a", owner, "-t", "blacklist", "-T", "add", "-f", "-")
				w.Must("192.0.2.77\n", "-a", inner(owner), "-t", "-x y", "-T", "add", "-f", "-")
			},
			"const tables": func(t testing.TB, owner string) {
				w.Must("table <"+allow(owner)+"> persist const { 192.0.2.9 }\n", "-a", owner, "-f", "-")
				w.Must("table <"+hosts(owner)+"> persist const { 240.0.0.1 }\n", "-a", inner(owner), "-f", "-")
			},
			"negated and misplaced entries": func(t testing.TB, owner string) {
				w.Must("!192.0.2.1\n!192.0.2.3\n", "-a", owner, "-t", allow(owner), "-T", "add", "-f", "-")
				w.Must("!240.0.0.0\n198.51.100.0/24\n0.0.0.0/0\n", "-a", inner(owner), "-t", hosts(owner), "-T", "add", "-f", "-")
			},
		},
		Damages: map[string]func(testing.TB, string){
			"the rules flushed":       func(t testing.TB, owner string) { w.Must("", "-a", owner, "-F", "rules") },
			"the inner rules flushed": func(t testing.TB, owner string) { w.Must("", "-a", inner(owner), "-F", "rules") },
			"all tables flushed":      func(t testing.TB, owner string) { w.Must("", "-F", "Tables") },
			"a table killed": func(t testing.TB, owner string) {
				w.Must("", "-a", inner(owner), "-t", hosts(owner), "-T", "kill")
			},
			"a table flushed": func(t testing.TB, owner string) {
				w.Must("", "-a", inner(owner), "-t", hosts(owner), "-T", "flush")
			},
			"an entry deleted": func(t testing.TB, owner string) {
				w.Must("", "-a", inner(owner), "-t", hosts(owner), "-T", "delete", "240.0.0.0")
			},
			"an entry added": func(t testing.TB, owner string) {
				w.Must("", "-a", inner(owner), "-t", hosts(owner), "-T", "add", "192.0.2.3")
			},
			"a negated entry added": func(t testing.TB, owner string) {
				w.Must("", "-a", inner(owner), "-t", owner+"_smtp_nets", "-T", "add", "!192.0.2.0/24")
			},
			"the allowlist changed": func(t testing.TB, owner string) {
				w.Must("", "-a", owner, "-t", allow(owner), "-T", "add", "192.0.2.0/24")
			},
			"a rule more": func(t testing.TB, owner string) {
				rules := w.Must("", "-a", inner(owner), "-s", "rules")
				w.Must("pass in quick all\n"+numbers(rules), "-a", inner(owner), "-f", "-")
			},
			"a table of its own": func(t testing.TB, owner string) {
				w.Must("192.0.2.1\n", "-a", inner(owner), "-t", "mine", "-T", "add", "-f", "-")
			},
			"a table made const": func(t testing.TB, owner string) {
				w.Change(func(s *pftest.State) { s.Anchors[inner(owner)].Tables[hosts(owner)].Const = true })
			},
		},
	}
}
