package firewalltest

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// testLifetimes waits some seconds of real time in a real firewall: there is no
// other way to see a kernel end a ban.
func testLifetimes(t *testing.T, s Suite) {
	b, m := s.up(t), book{}

	// An entry that is due, or within a second, is not put there; one that
	// was there goes.
	due := s.entry("192.0.2.1/32", maillog.SMTP, time.Hour)
	m.apply(t, b, ban.Change{Add: []ban.Entry{due}})
	m.check(t, s, b)
	for _, d := range []time.Duration{0, -time.Hour} {
		past := s.entry("192.0.2.1/32", maillog.SMTP, d)
		other := s.entry("192.0.2.2/32", maillog.SMTP, d)
		must(t, "apply", b.Apply(t.Context(), ban.Change{Refresh: []ban.Entry{past}, Add: []ban.Entry{other}}))
		delete(m, firewall.KeyOf(past))
		if s.Deadlines {
			m.check(t, s, b)
		}
	}
	if !s.Deadlines {
		return
	}

	const short, long = 3 * time.Second, time.Hour
	ends := []ban.Entry{
		s.entry("192.0.2.10/32", maillog.SMTP, short), s.entry("192.0.2.64/28", maillog.Login, short),
		s.entry("2001:db8:1::/64", maillog.SMTP, short), s.entry("2001:db8:2::/48", maillog.SMTP, short),
	}
	lengthened := s.entry("192.0.2.20/32", maillog.SMTP, short)
	shortened := s.entry("192.0.2.21/32", maillog.SMTP, long)
	stays := s.entry("192.0.2.22/32", maillog.SMTP, long)
	m.apply(t, b, ban.Change{Add: append(slices.Clone(ends), lengthened, shortened, stays)})
	lengthened.Deadline = s.Now().Add(long).Unix()
	shortened.Deadline = s.Now().Add(short).Unix()
	m.apply(t, b, ban.Change{Refresh: []ban.Entry{lengthened, shortened}})
	m.check(t, s, b)

	ends = append(ends, shortened)
	for _, e := range ends {
		delete(m, firewall.KeyOf(e))
	}
	for range 60 {
		s.Pass(250 * time.Millisecond)
		active, err := b.Active(t.Context())
		must(t, "active", err)
		if len(active) <= len(m) {
			break
		}
	}
	m.check(t, s, b)

	// What the kernel has ended can be removed, refreshed and added.
	again := s.entry("192.0.2.10/32", maillog.SMTP, long)
	net := s.entry("192.0.2.64/28", maillog.Login, long)
	m.apply(t, b, ban.Change{Add: []ban.Entry{again}, Refresh: []ban.Entry{net}, Remove: ends[2:]})
	m.check(t, s, b)
}

func testIdempotent(t *testing.T, s Suite) {
	b, m := s.up(t), book{}
	m.apply(t, b, ban.Change{Add: Bulk(500, s.Now())})
	var before string
	if s.Snapshot != nil {
		before = s.Snapshot(t)
	}
	for range 3 {
		must(t, "setup again", b.Setup(t.Context(), nil))
	}
	m.check(t, s, b)
	if s.Snapshot != nil {
		same(t, "setup again", before, s.Snapshot(t))
	}
	drift, err := b.Check(t.Context())
	must(t, "check", err)
	if !drift.OK() {
		t.Errorf("check: %+v", drift)
	}
}

func testRestart(t *testing.T, s Suite) {
	if !s.Persists {
		t.Skip("its bans end with it")
	}
	m := book{}
	first := s.New(t, firewall.Options{Ports: Ports, Now: s.Now})
	must(t, "setup", first.Setup(t.Context(), []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}))
	m.apply(t, first, ban.Change{Add: Bulk(3000, s.Now())})

	// The first one is gone without a word; another reads before it sets up.
	second := s.open(t, "")
	m.check(t, s, second)
	must(t, "setup over it", second.Setup(t.Context(), nil))
	m.check(t, s, second)
	active, err := second.Active(t.Context())
	must(t, "active", err)
	if c := firewall.Plan(active, m.entries(), s.Now().Unix()); !c.Empty() {
		t.Errorf("a restart has something to do: %d, %d, %d", len(c.Add), len(c.Refresh), len(c.Remove))
	}

	// The book moved on meanwhile.
	want := maps.Clone(m)
	for i, e := range m.entries() {
		switch i % 4 {
		case 0:
			delete(want, firewall.KeyOf(e))
		case 1:
			e.Deadline += 1000
			want[firewall.KeyOf(e)] = e
		}
	}
	e := s.entry("203.0.113.0/27", maillog.SMTP, time.Hour)
	want[firewall.KeyOf(e)] = e
	m.apply(t, second, firewall.Plan(active, want.entries(), s.Now().Unix()))
	want.check(t, s, second)

	// Close leaves the bans, and other options take over.
	must(t, "close", first.Close())
	want.check(t, s, second)
	ports := Ports
	ports[maillog.SMTP] = []uint16{25, 2525}
	third := s.New(t, firewall.Options{Ports: ports, Now: s.Now})
	defer third.Close()
	must(t, "setup with other ports", third.Setup(t.Context(), nil))
	want.check(t, s, third)
	must(t, "setup with the old ports", second.Setup(t.Context(), nil))
	want.check(t, s, second)
}

func testWrecks(t *testing.T, s Suite) {
	for name, wreck := range s.Wrecks {
		t.Run(name, func(t *testing.T) {
			b, m := s.open(t, ""), book{}
			wreck(t, firewall.DefaultOwner)
			must(t, "setup", b.Setup(t.Context(), []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}))
			m.apply(t, b, ban.Change{Add: Bulk(100, s.Now())})
			m.check(t, s, b)
			drift, err := b.Check(t.Context())
			must(t, "check", err)
			if !drift.OK() {
				t.Errorf("check: %+v", drift)
			}
		})
	}
}

func testDamages(t *testing.T, s Suite) {
	b := s.open(t, "")
	if drift, err := b.Check(t.Context()); err != nil || len(drift.Missing) == 0 {
		t.Errorf("check before setup: %+v, %v", drift, err)
	}
	if active, err := b.Active(t.Context()); err != nil || len(active) != 0 {
		t.Errorf("active before setup: %v, %v", active, err)
	}
	if counters, err := b.Counters(t.Context(), Bulk(3, s.Now())); err != nil || len(counters) != 3 || counters[0].Present {
		t.Errorf("counters before setup: %v, %v", counters, err)
	}
	for name, damage := range s.Damages {
		t.Run(name, func(t *testing.T) {
			b, m := s.up(t), book{}
			m.apply(t, b, ban.Change{Add: Bulk(400, s.Now())})
			drift, err := b.Check(t.Context())
			must(t, "check", err)
			if !drift.OK() {
				t.Fatalf("check before the damage: %+v", drift)
			}
			damage(t, firewall.DefaultOwner)
			if drift, err = b.Check(t.Context()); err != nil || drift.OK() {
				t.Errorf("check after the damage: %+v, %v", drift, err)
			}
			repair(t, s, b, m)
			if drift, err = b.Check(t.Context()); err != nil || !drift.OK() {
				t.Errorf("check after the repair: %+v, %v", drift, err)
			}
		})
	}
}

// repair is what the daemon does.
func repair(t testing.TB, s Suite, b firewall.Backend, m book) {
	t.Helper()
	must(t, "setup", b.Setup(t.Context(), nil))
	active, err := b.Active(t.Context())
	must(t, "active", err)
	must(t, "apply", b.Apply(t.Context(), firewall.Plan(active, m.entries(), s.Now().Unix())))
	m.check(t, s, b)
}

func testOwners(t *testing.T, s Suite) {
	b, m := s.up(t), book{}
	other, n := s.open(t, "postmoat_b"), book{}
	must(t, "setup", other.Setup(t.Context(), nil))
	m.apply(t, b, ban.Change{Add: Bulk(100, s.Now())})
	n.apply(t, other, ban.Change{Add: Bulk(200, s.Now())[150:]})
	m.check(t, s, b)
	n.check(t, s, other)
	must(t, "teardown", other.Teardown(t.Context()))
	m.check(t, s, b)
	book{}.check(t, s, other)
	drift, err := b.Check(t.Context())
	must(t, "check", err)
	if len(drift.Missing) > 0 {
		t.Errorf("check: %+v", drift)
	}
}

func testForeign(t *testing.T, s Suite) {
	if s.Snapshot == nil {
		t.Skip("there is nothing to see from outside")
	}
	nothing := s.Snapshot(t)
	b, m := s.open(t, ""), book{}
	round := func(t testing.TB) {
		t.Helper()
		before := s.Snapshot(t)
		must(t, "setup", b.Setup(t.Context(), []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}))
		m.apply(t, b, ban.Change{Add: Bulk(1000, s.Now())})
		m.apply(t, b, ban.Change{Remove: Bulk(500, s.Now())})
		m.check(t, s, b)
		must(t, "teardown", b.Teardown(t.Context()))
		clear(m)
		same(t, "teardown", before, s.Snapshot(t))
		m.check(t, s, b)
		must(t, "teardown of nothing", b.Teardown(t.Context()))
		same(t, "teardown of nothing", before, s.Snapshot(t))
	}
	round(t)
	if s.Foreign != nil {
		t.Run("beside others", func(t *testing.T) {
			s.Foreign(t)
			if s.Snapshot(t) == nothing {
				t.Fatal("the snapshot does not show foreign rules")
			}
			round(t)
		})
	}
	same(t, "the whole test", nothing, s.Snapshot(t))
}

func testCancelled(t *testing.T, s Suite) {
	b, m := s.up(t), book{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Apply(ctx, ban.Change{Add: Bulk(10, s.Now())}); !errors.Is(err, context.Canceled) {
		t.Errorf("apply: err = %v, want context.Canceled", err)
	}
	m.check(t, s, b)
}

func same(t testing.TB, what, before, after string) {
	t.Helper()
	if before != after {
		t.Fatalf("%s: the firewall is not as it was\nbefore:\n%s\nafter:\n%s", what, before, after)
	}
}
