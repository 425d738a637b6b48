package pf_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/firewall/memory"
	"github.com/postmoat/postmoat/pkg/firewall/pf"
	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// host is a world with a backend that is set up, its clock that of the world.
func host(t *testing.T, f pftest.Flavour, allow ...string) (*pftest.World, *pf.Backend, time.Time) {
	t.Helper()
	w, clock := start(t, f)
	b := open(t, w, firewall.Options{Ports: firewalltest.Ports, Now: clock})
	must(t, b.Setup(t.Context(), prefixes(allow...)))
	return w, b, clock()
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func entry(p string, door maillog.Door, deadline time.Time) ban.Entry {
	return ban.Entry{Prefix: netip.MustParsePrefix(p), Door: door, Until: deadline.Unix(), Deadline: deadline.Unix()}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (%s)", err, firewall.Hint(err))
	}
}

// held is what the backend reads, as text.
func held(t testing.TB, b *pf.Backend) (list []string) {
	t.Helper()
	active, err := b.Active(t.Context())
	must(t, err)
	for _, a := range active {
		list = append(list, fmt.Sprintf("%v %v", a.Prefix, a.Door))
	}
	return list
}

// TestCuts: what the rules do with packets is what the memory backend says, for
// random bans, allowlists and packets; rules of the operator go on working for
// everybody who is not cut.
func TestCuts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	w, clock := start(t, pftest.FreeBSD)
	o := firewall.Options{Ports: firewalltest.Ports, Now: clock}
	b := open(t, w, o)
	twin, err := memory.New(o)
	must(t, err)
	random := func() netip.Prefix {
		if rnd.IntN(2) == 0 {
			a := netip.AddrFrom4([4]byte{198, 51, 100, byte(rnd.IntN(32))})
			return netip.PrefixFrom(a, []int{24, 28, 30, 32, 32, 32}[rnd.IntN(6)]).Masked()
		}
		a := [16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 7: byte(rnd.IntN(8)), 15: byte(rnd.IntN(2))}
		return netip.PrefixFrom(netip.AddrFrom16(a), []int{56, 62, 64, 64, 128}[rnd.IntN(5)]).Masked()
	}
	both := [2]firewall.Backend{b, twin}
	for round := range 12 {
		var allow []netip.Prefix
		for range rnd.IntN(4) {
			allow = append(allow, random())
		}
		var c ban.Change
		used := make(map[firewall.Key]bool)
		for range 10 {
			e := ban.Entry{Prefix: random(), Door: maillog.Door(rnd.IntN(2)), Deadline: clock().Unix() + 100}
			if key := firewall.KeyOf(e); !used[key] {
				used[key] = true
				if rnd.IntN(3) == 0 {
					c.Remove = append(c.Remove, e)
				} else {
					c.Add = append(c.Add, e)
				}
			}
		}
		for _, x := range both {
			if round == 0 {
				must(t, x.Setup(t.Context(), allow))
			}
			must(t, x.SetAllow(t.Context(), allow))
			must(t, x.Apply(t.Context(), c))
		}
		s := w.State()
		for range 200 {
			p := random()
			port := []uint16{25, 993, 587, 22, 80}[rnd.IntN(5)]
			want := twin.Cuts(p.Addr(), port) || port == 80 // pf.conf blocks that one
			if got := s.Cuts(p.Addr(), port); got != want {
				t.Fatalf("round %d: Cuts(%v, %d) = %v, want %v\n%s", round, p.Addr(), port, got, want, w.Snapshot())
			}
		}
	}
	if !w.Cuts("192.0.2.1", 80) || w.Cuts("192.0.2.1", 22) {
		t.Error("the operator's own rules do not work as before")
	}
	allowed(t, w)
}

// TestNoGap: after each single run of pfctl while bans widen, split and the
// allowlist changes, who is banned before and after is cut, and who is allowed
// before and after is not.
func TestNoGap(t *testing.T) {
	w, b, now := host(t, pftest.OpenBSD, "198.51.100.9/32")
	later := now.Add(time.Hour)
	members := []ban.Entry{entry("198.51.100.1/32", maillog.SMTP, later), entry("198.51.100.2/32", maillog.SMTP, later)}
	wide := []ban.Entry{entry("198.51.100.0/24", maillog.SMTP, later)}
	parts := []ban.Entry{entry("198.51.100.0/25", maillog.SMTP, later)}
	must(t, b.Apply(t.Context(), ban.Change{Add: members}))
	w.Change(func(s *pftest.State) {
		s.Probes = []pftest.Probe{{Client: netip.MustParseAddr("198.51.100.1"), Port: 25}, {Client: netip.MustParseAddr("198.51.100.9"), Port: 25}}
	})
	w.Forget()
	must(t, b.Apply(t.Context(), ban.Change{Add: wide, Remove: members}))
	must(t, b.Apply(t.Context(), ban.Change{Add: parts, Remove: wide}))
	must(t, b.SetAllow(t.Context(), prefixes("198.51.100.8/31", "192.0.2.0/24")))
	must(t, b.Setup(t.Context(), prefixes("198.51.100.9/32")))
	must(t, b.Apply(t.Context(), ban.Change{Add: members, Remove: parts}))
	calls := w.Calls()
	for i, c := range calls {
		if !slices.Equal(c.Cuts, []bool{true, false}) {
			t.Errorf("after run %d of %d, pfctl %q: %v", i, len(calls), c.Args, c.Cuts)
		}
	}
}

// TestRestart: what a crashed run left is in force and read, the old of it is
// expired, a plan makes it what the book says, and Close removes the bans.
func TestRestart(t *testing.T) {
	w, first, now := host(t, pftest.FreeBSD, "192.0.2.1/32")
	must(t, first.Apply(t.Context(), ban.Change{Add: []ban.Entry{entry("203.0.113.1/32", maillog.SMTP, now.Add(300*time.Hour))}}))
	pass(w, 10*24*time.Hour)
	now = now.Add(10 * 24 * time.Hour)
	m := firewalltest.Bulk(3000, now)
	must(t, first.Apply(t.Context(), ban.Change{Add: m}))

	// The first one is gone without a word. Reading changes nothing.
	before := w.Snapshot()
	clock := func() time.Time { return time.Unix(w.State().Now, 0) }
	second := open(t, w, firewall.Options{Ports: firewalltest.Ports, Now: clock})
	if n := len(held(t, second)); n != 3001 {
		t.Errorf("%d entries before Setup", n)
	}
	must(t, second.Close()) // it has set up nothing
	if got := w.Snapshot(); got != before {
		t.Errorf("reading or closing changed it:\n%s", got)
	}
	must(t, second.Setup(t.Context(), prefixes("192.0.2.1/32")))
	active, err := second.Active(t.Context())
	must(t, err)
	if len(active) != 3000 || active[0].Deadline != 0 || active[0].Remaining != 0 {
		t.Errorf("%d entries after Setup: %+v", len(active), active[0])
	}
	if c := firewall.Plan(active, m, now.Unix()); !c.Empty() {
		t.Errorf("a restart has something to do: %d, %d, %d", len(c.Add), len(c.Refresh), len(c.Remove))
	}
	if d, err := second.Check(t.Context()); err != nil || !d.OK() {
		t.Errorf("check: %+v, %v", d, err)
	}
	want := append(slices.Clone(m[100:]), entry("203.0.113.0/27", maillog.SMTP, now.Add(time.Hour)))
	must(t, second.Apply(t.Context(), firewall.Plan(active, want, now.Unix())))
	if n := len(held(t, second)); n != 2901 {
		t.Errorf("%d entries after the plan", n)
	}
	must(t, second.Close())
	s := w.State()
	for name, table := range s.Anchors["postmoat/cut"].Tables {
		if len(table.Addrs) != 0 {
			t.Errorf("table %s has %d entries after Close", name, len(table.Addrs))
		}
	}
	if s.Cuts(netip.MustParseAddr("203.0.113.1"), 25) {
		t.Error("still cut after Close")
	}
	if err := second.Apply(t.Context(), ban.Change{Add: m[:1]}); !errors.Is(err, firewall.ErrGone) {
		t.Errorf("apply after Close: %v", err)
	}
	allowed(t, w)
}

// TestDeadlines: an entry that was taken over has no deadline until it is
// refreshed.
func TestDeadlines(t *testing.T) {
	w, first, now := host(t, pftest.OpenBSD)
	a, c := entry("192.0.2.1/32", maillog.SMTP, now.Add(time.Minute)), entry("192.0.2.2/32", maillog.SMTP, now.Add(time.Minute))
	must(t, first.Apply(t.Context(), ban.Change{Add: []ban.Entry{a, c}}))
	second := open(t, w, firewall.Options{Ports: firewalltest.Ports, Now: func() time.Time { return time.Unix(w.State().Now, 0) }})
	must(t, second.Setup(t.Context(), nil))
	must(t, second.Apply(t.Context(), ban.Change{Refresh: []ban.Entry{c}}))
	pass(w, time.Minute)
	w.Forget()
	if d, err := second.Check(t.Context()); err != nil || !d.OK() {
		t.Errorf("check: %+v, %v", d, err)
	}
	if got := w.State().Anchors["postmoat/cut"].Tables["postmoat_smtp_hosts"].Addrs; len(got) != 1 {
		t.Errorf("after the deadline: %v", got)
	}
	if got := held(t, second); !slices.Equal(got, []string{"192.0.2.1/32 smtp"}) {
		t.Errorf("after the deadline: %q", got)
	}
	if err := second.Apply(t.Context(), ban.Change{}); err != nil {
		t.Error(err)
	}
}

// TestUnseen: a foreign hand that leaves the number of entries as it was is
// found after ten minutes.
func TestUnseen(t *testing.T) {
	w, b, now := host(t, pftest.FreeBSD, "192.0.2.1/32")
	must(t, b.Apply(t.Context(), ban.Change{Add: []ban.Entry{entry("198.51.100.1/32", maillog.SMTP, now.Add(time.Hour))}}))
	w.Must("", "-a", "postmoat/cut", "-t", "postmoat_smtp_hosts", "-T", "replace", "198.51.100.2")
	if d, err := b.Check(t.Context()); err != nil || !d.OK() {
		t.Errorf("at once: %+v, %v", d, err)
	}
	pass(w, 10*time.Minute)
	for range 2 {
		if d, err := b.Check(t.Context()); err != nil || !d.Unproven || len(d.Missing) > 0 {
			t.Errorf("later: %+v, %v", d, err)
		}
	}
	active, err := b.Active(t.Context())
	must(t, err)
	must(t, b.Apply(t.Context(), firewall.Plan(active, []ban.Entry{entry("198.51.100.1/32", maillog.SMTP, now.Add(time.Hour))}, now.Unix())))
	if d, err := b.Check(t.Context()); err != nil || !d.OK() {
		t.Errorf("repaired: %+v, %v", d, err)
	}
	pass(w, 11*time.Minute)
	w.Must("", "-a", "postmoat", "-t", "postmoat_allow", "-T", "replace", "192.0.2.2")
	if d, err := b.Check(t.Context()); err != nil || d.OK() {
		t.Errorf("the allowlist: %+v, %v", d, err)
	}
}

// TestRemade: a table that was gone when entries are added is told at once.
func TestRemade(t *testing.T) {
	w, b, now := host(t, pftest.FreeBSD)
	w.Must("", "-F", "all")
	err := b.Apply(t.Context(), ban.Change{Add: []ban.Entry{entry("198.51.100.1/32", maillog.SMTP, now.Add(time.Hour))}})
	if !errors.Is(err, firewall.ErrGone) || firewall.Hint(err) == "" {
		t.Errorf("err = %v", err)
	}
	must(t, b.Apply(t.Context(), ban.Change{Remove: []ban.Entry{entry("203.0.113.0/24", maillog.Login, now)}}))
	must(t, b.Close())
	must(t, b.Teardown(t.Context()))
}

// TestRead: counters, and what a foreign hand put in is not taken for a ban.
func TestRead(t *testing.T) {
	for _, flavour := range pftest.Flavours {
		w, b, now := host(t, flavour)
		e := entry("198.51.100.1/32", maillog.SMTP, now.Add(time.Hour))
		net := entry("2001:db8::/48", maillog.Login, now.Add(time.Hour))
		must(t, b.Apply(t.Context(), ban.Change{Add: []ban.Entry{e, net}}))
		w.Must("", "-a", "postmoat/cut", "-t", "postmoat_smtp_hosts", "-T", "add", "192.0.2.0/24", "!192.0.2.1")
		w.Change(func(s *pftest.State) {
			t := s.Anchors["postmoat/cut"].Tables["postmoat_smtp_hosts"]
			t.Addrs[e.Prefix] = pftest.Addr{Since: s.Now, Packets: 12, Bytes: 720}
		})
		active, err := b.Active(t.Context())
		must(t, err)
		want := firewall.Counter{Present: true, Packets: 12, Bytes: 720}
		if len(active) != 2 || active[0].Counter != want || active[1].Counter != (firewall.Counter{Present: true}) || active[0].Remaining != time.Hour {
			t.Errorf("%s: active: %+v", flavour, active)
		}
		counters, err := b.Counters(t.Context(), []ban.Entry{net, entry("192.0.2.1/32", maillog.SMTP, now), e})
		must(t, err)
		if len(counters) != 3 || !counters[0].Present || counters[1].Present || counters[2] != want {
			t.Errorf("%s: counters: %+v", flavour, counters)
		}
	}
}

// TestNames: owners as long as they may be, and their names for pf.
func TestNames(t *testing.T) {
	w, clock := start(t, pftest.OpenBSD)
	owner := strings.Repeat("x", 16)
	w.Load("anchor \"" + owner + "\"\n")
	b := open(t, w, firewall.Options{Ports: [maillog.NumDoors][]uint16{{25}, nil}, Owner: owner, Now: clock})
	must(t, b.Setup(t.Context(), nil))
	must(t, b.Apply(t.Context(), ban.Change{Add: []ban.Entry{entry("198.51.100.1/32", maillog.Login, clock().Add(time.Hour)), entry("203.0.113.0/24", maillog.Login, clock().Add(time.Hour))}}))
	if d, err := b.Check(t.Context()); err != nil || !d.OK() {
		t.Errorf("check: %+v, %v", d, err)
	}
	if !w.Cuts("198.51.100.1", 25) || w.Cuts("203.0.113.1", 25) {
		t.Error("a door without ports: its hosts are cut at the others, its networks nowhere")
	}
	for name := range w.State().Anchors[owner+"/cut"].Tables {
		if len(name) > 31 {
			t.Errorf("table %q", name)
		}
	}
}

func TestReject(t *testing.T) {
	_, err := pf.New(pf.Options{Options: firewall.Options{Ports: firewalltest.Ports, Action: firewall.Reject}})
	if !errors.Is(err, firewall.ErrUnsupported) || !strings.Contains(err.Error(), "reject") || firewall.Hint(err) == "" {
		t.Errorf("err = %v", err)
	}
	if _, err := pf.New(pf.Options{}); err == nil {
		t.Error("no ports, no error")
	}
}
