//go:build linux

package iptables_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/firewall/iptables"
	"github.com/postmoat/postmoat/pkg/maillog"
	"golang.org/x/sys/unix"
)

// up is a backend that is set up, and torn down at the end.
func (v variant) up(t testing.TB, allow ...netip.Prefix) *iptables.Backend {
	t.Helper()
	return set(t, firewall.Options{Ports: firewalltest.Ports}, iptables.Programs{IPTables: v.v4, IP6Tables: v.v6}, allow...)
}

func set(t testing.TB, o firewall.Options, p iptables.Programs, allow ...netip.Prefix) *iptables.Backend {
	t.Helper()
	b, err := iptables.New(o, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Teardown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := b.Setup(t.Context(), allow); err != nil {
		t.Fatal(err)
	}
	return b
}

func entry(prefix string, door maillog.Door) ban.Entry {
	return ban.Entry{Prefix: netip.MustParsePrefix(prefix), Door: door, Deadline: time.Now().Unix() + 3600}
}

// held are the prefixes that are really there.
func held(t testing.TB, b *iptables.Backend) string {
	t.Helper()
	active, err := b.Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, a := range active {
		all = append(all, a.Prefix.String())
	}
	return strings.Join(all, " ")
}

func TestRejectIsRefused(t *testing.T) {
	_, err := iptables.New(firewall.Options{Ports: firewalltest.Ports, Action: firewall.Reject}, iptables.Programs{})
	if !errors.Is(err, firewall.ErrUnsupported) || !strings.Contains(firewall.Hint(err), "nftables") {
		t.Errorf("err = %v, hint %q", err, firewall.Hint(err))
	}
}

func TestWatch(t *testing.T) {
	b, err := iptables.New(firewall.Options{Ports: firewalltest.Ports}, iptables.Programs{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Watch(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("err = %v", err)
	}
}

// TestHalfwayIsTakenBack: a set is gone, so a change stops in the middle.
func TestHalfwayIsTakenBack(t *testing.T) {
	nft.need(t)
	b := nft.up(t)
	stays, goes := entry("192.0.2.1/32", maillog.SMTP), entry("192.0.2.2/32", maillog.SMTP)
	if err := b.Apply(t.Context(), ban.Change{Add: []ban.Entry{stays, goes}}); err != nil {
		t.Fatal(err)
	}
	nft.both(t, "-t", "raw", "-F", "POSTMOAT")
	run(t, "", "ipset", "destroy", "postmoat-login4-nets")
	long := stays
	long.Deadline += 3600
	err := b.Apply(t.Context(), ban.Change{
		// The host at the other door makes ipset send what comes before it.
		Add:     []ban.Entry{entry("192.0.2.3/32", maillog.SMTP), entry("192.0.2.4/32", maillog.Login), entry("198.51.100.0/24", maillog.Login)},
		Refresh: []ban.Entry{long}, Remove: []ban.Entry{goes},
	})
	if !errors.Is(err, firewall.ErrGone) {
		t.Errorf("err = %v, want ErrGone", err)
	}
	active, err := b.Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if plan := firewall.Plan(active, []ban.Entry{stays, goes}, time.Now().Unix()); !plan.Empty() {
		t.Errorf("the change was not taken back: %+v", plan)
	}
	if d, err := b.Check(t.Context()); err != nil || d.OK() {
		t.Errorf("check: %+v, %v", d, err)
	}
}

// TestFullSetGrows: however little a set takes, it grows, and keeps what it has.
func TestFullSetGrows(t *testing.T) {
	nft.need(t)
	b := nft.up(t)
	small := "create x hash:net family inet timeout 0 counters maxelem 4\n" +
		"add x 192.0.2.1 timeout 500 packets 77 bytes 7777\nadd x 192.0.2.2 timeout 500\nadd x 192.0.2.3 timeout 500\n" +
		"swap x postmoat-smtp4-hosts\ndestroy x\n"
	run(t, small, "ipset", "restore")
	fourth := entry("192.0.2.4/32", maillog.SMTP)
	if err := b.Apply(t.Context(), ban.Change{Add: []ban.Entry{fourth, entry("192.0.2.5/32", maillog.SMTP)}}); err != nil {
		t.Fatal(err)
	}
	if got, want := held(t, b), "192.0.2.1/32 192.0.2.2/32 192.0.2.3/32 192.0.2.4/32 192.0.2.5/32"; got != want {
		t.Errorf("held: %s, want: %s", got, want)
	}
	c, err := b.Counters(t.Context(), []ban.Entry{entry("192.0.2.1/32", maillog.SMTP)})
	if err != nil || c[0].Packets != 77 || c[0].Bytes != 7777 {
		t.Errorf("counters = %+v, %v: they were not kept", c, err)
	}
	if list := run(t, "", "ipset", "list", "-name"); strings.Contains(list, "+") {
		t.Errorf("something was left aside: %s", list)
	}
}

// TestNeverEndless: a deadline too far ahead is cut, not made permanent.
func TestNeverEndless(t *testing.T) {
	nft.need(t)
	b := nft.up(t)
	e := entry("192.0.2.1/32", maillog.SMTP)
	e.Deadline += 100 * 365 * 86400
	if err := b.Apply(t.Context(), ban.Change{Add: []ban.Entry{e}}); err != nil {
		t.Fatal(err)
	}
	active, err := b.Active(t.Context())
	if err != nil || len(active) != 1 {
		t.Fatal(active, err)
	}
	if left := active[0].Remaining; left < 2147400*time.Second || left > 2147484*time.Second {
		t.Errorf("remaining = %v", left)
	}
	if d, err := b.Check(t.Context()); err != nil || !d.OK() {
		t.Errorf("check: %+v, %v", d, err)
	}
}

// TestWithoutIPv6: IPv4 works, the bans of IPv6 are held, and it says why they
// do not cut.
func TestWithoutIPv6(t *testing.T) {
	nft.need(t)
	b := set(t, firewall.Options{Ports: firewalltest.Ports}, iptables.Programs{IPTables: nft.v4, IP6Tables: "/nonexistent/ip6tables"})
	if err := b.IPv6(); !errors.Is(err, firewall.ErrMissingProgram) {
		t.Errorf("IPv6: %v, want ErrMissingProgram", err)
	}
	if err := b.Apply(t.Context(), ban.Change{Add: []ban.Entry{entry("192.0.2.1/32", maillog.SMTP), entry("2001:db8::/64", maillog.SMTP)}}); err != nil {
		t.Fatal(err)
	}
	if got, want := held(t, b), "192.0.2.1/32 2001:db8::/64"; got != want {
		t.Errorf("held: %s, want: %s", got, want)
	}
	if d, err := b.Check(t.Context()); err != nil || !d.OK() {
		t.Errorf("check: %+v, %v", d, err)
	}
	if rules := run(t, "", nft.v4, "-t", "raw", "-S"); !strings.Contains(rules, "postmoat-smtp4-hosts src -j DROP") {
		t.Errorf("rules: %s", rules)
	}
	if both := nft.up(t); both.IPv6() != nil {
		t.Errorf("IPv6: %v", both.IPv6())
	}
}

// TestManyPorts: multiport takes 15.
func TestManyPorts(t *testing.T) {
	nft.need(t)
	o := firewall.Options{}
	for p := range uint16(40) {
		o.Ports[maillog.SMTP] = append(o.Ports[maillog.SMTP], 1000-p)
	}
	o.Ports[maillog.Login] = []uint16{143, 143}
	b := set(t, o, iptables.Programs{IPTables: nft.v4, IP6Tables: nft.v6})
	rules := run(t, "", nft.v6, "-t", "raw", "-S")
	if n := strings.Count(rules, "-j POSTMOAT"); n != 3 {
		t.Errorf("%d hooks, want 3 for 41 ports:\n%s", n, rules)
	}
	if n := strings.Count(rules, "postmoat-smtp6-nets"); n != 2*3 || !strings.Contains(rules, "--dports 143 ") {
		t.Errorf("%d rules for the networks of a door of 40 ports, want 3 in each of two rounds:\n%s", n, rules)
	}
	if err := b.Setup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if again := run(t, "", nft.v6, "-t", "raw", "-S"); again != rules {
		t.Errorf("a second setup changed the rules:\n%s", again)
	}
	if d, err := b.Check(t.Context()); err != nil || !d.OK() {
		t.Errorf("check: %+v, %v", d, err)
	}
}

// TestVariantSwitched: the host's iptables is another one than at the last run.
func TestVariantSwitched(t *testing.T) {
	legacy.need(t)
	nft.need(t)
	before := legacy.snapshot(t)
	for _, vs := range [][2]variant{{legacy, nft}, {nft, legacy}} {
		first := vs[0].up(t)
		vs[1].up(t)
		if err := first.Apply(t.Context(), ban.Change{}); err != nil {
			t.Fatal(err)
		}
		if rules := run(t, "", vs[0].v4, "-t", "raw", "-S") + run(t, "", vs[0].v6, "-t", "raw", "-S"); strings.Contains(rules, "POSTMOAT") {
			t.Errorf("%s: still there:\n%s", vs[0].v4, rules)
		}
		if rules := run(t, "", vs[1].v4, "-t", "raw", "-S"); !strings.Contains(rules, "-j POSTMOAT") {
			t.Errorf("%s: not there:\n%s", vs[1].v4, rules)
		}
		if err := first.Teardown(t.Context()); err != nil { // of the variant that is not in use
			t.Fatal(err)
		}
		if after := legacy.snapshot(t); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	}
}

const capsEnv = "POSTMOAT_TEST_CAPS"

// TestCapabilities runs the backend as an ordinary user with few capabilities.
func TestCapabilities(t *testing.T) {
	nft.need(t)
	if firewalltest.InUserNamespace() {
		t.Skip("there is no other user in here")
	}
	for want, caps := range map[string][]uintptr{
		"ok":      {unix.CAP_NET_ADMIN, unix.CAP_NET_RAW},
		"NET_RAW": {unix.CAP_NET_ADMIN},
		"both":    {},
	} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^$")
		cmd.Env = append(os.Environ(), capsEnv+"="+want)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: caps}
		cmd.Dir = "/"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", want, err, out)
		}
	}
}

var nftPrograms = iptables.Programs{IPTables: nft.v4, IP6Tables: nft.v6}

// ordinaryUser is the other process.
func ordinaryUser(want string) {
	b, err := iptables.New(firewall.Options{Ports: firewalltest.Ports}, nftPrograms)
	ctx := context.Background()
	ok := err == nil
	probe := firewall.Probe(ctx, func(o firewall.Options) (firewall.Backend, error) { return iptables.New(o, nftPrograms) },
		firewall.Options{Ports: firewalltest.Ports})
	setup := b.Setup(ctx, nil)
	fmt.Printf("probe: %v (%s)\nsetup: %v (%s)\n", probe, firewall.Hint(probe), setup, firewall.Hint(setup))
	switch want {
	case "ok":
		ok = ok && probe == nil && setup == nil && b.Apply(ctx, ban.Change{Add: firewalltest.Bulk(100, time.Now())}) == nil
		active, err := b.Active(ctx)
		drift, err2 := b.Check(ctx)
		ok = ok && err == nil && err2 == nil && len(active) == 100 && drift.OK()
	case "NET_RAW":
		for _, err := range []error{probe, setup} {
			ok = ok && errors.Is(err, firewall.ErrNotPermitted) && strings.Contains(firewall.Hint(err), "need CAP_NET_RAW")
		}
	case "both":
		for _, err := range []error{probe, setup, b.Teardown(ctx)} {
			ok = ok && errors.Is(err, firewall.ErrNotPermitted) && strings.Contains(firewall.Hint(err), "CAP_NET_ADMIN and CAP_NET_RAW")
		}
	}
	if err := b.Teardown(ctx); err != nil && want != "both" {
		fmt.Println("teardown:", err)
		ok = false
	}
	if !ok {
		os.Exit(1)
	}
	os.Exit(0)
}
