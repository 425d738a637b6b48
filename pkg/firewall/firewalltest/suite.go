// Package firewalltest is the suite that every firewall backend passes: Run
// compares what a backend says is there with what it was told, Packets sends
// real packets through network namespaces of its own.
package firewalltest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// A Suite says how a backend is made and what it can do.
type Suite struct {
	// New makes a backend, not yet set up. The suite closes it.
	New func(t testing.TB, o firewall.Options) firewall.Backend

	Deadlines bool // the firewall ends bans by itself and tells the remaining time
	Persists  bool // bans outlive the backend that made them
	Rejects   bool // it has the action reject
	Large     int  // entries of the large load; 0: 100,000

	// Now and Pass are the clock, for a backend that lives in another time
	// than ours; nil: the real one.
	Now  func() time.Time
	Pass func(time.Duration)

	// Snapshot is the whole firewall of the host as text, ours and others',
	// without counters; nil: there is nothing to see.
	Snapshot func(t testing.TB) string
	// Foreign puts rules and sets of somebody else in place, and takes them
	// away with t.Cleanup.
	Foreign func(t testing.TB)
	// Wrecks are things under our name that a crashed run or a foreign hand
	// may have left before Setup, and that Setup has to cope with.
	Wrecks map[string]func(t testing.TB, owner string)
	// Damages are what somebody else may do to a firewall that is set up
	// and holds bans. Check has to find each.
	Damages map[string]func(t testing.TB, owner string)
}

// Ports are those of the suite: the packet tests listen at some of them.
var Ports = [maillog.NumDoors][]uint16{
	maillog.SMTP:  {25},
	maillog.Login: {465, 587, 110, 143, 993, 995, 4190},
}

// Run runs every test that needs no packets.
func Run(t *testing.T, s Suite) {
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Pass == nil {
		s.Pass = time.Sleep
	}
	if s.Large == 0 {
		s.Large = 100_000
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, Suite)
	}{
		{"add, remove, remove what is gone", testAddRemove},
		{"widen and split", testWidenSplit},
		{"edges of the address space", testEdges},
		{"bad entries are refused whole", testBadEntries},
		{"allowlist", testAllow},
		{"lifetimes", testLifetimes},
		{"random changes", testRandom},
		{"large", testLarge},
		{"counters", testCounters},
		{"setup is idempotent", testIdempotent},
		{"restart", testRestart},
		{"wrecks", testWrecks},
		{"check and repair", testDamages},
		{"owners do not meet", testOwners},
		{"foreign rules untouched, nothing left", testForeign},
		{"a cancelled context", testCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

// up is a backend that is set up, and torn down at the end.
func (s Suite) up(t testing.TB, allow ...netip.Prefix) firewall.Backend {
	t.Helper()
	b := s.open(t, "")
	must(t, "setup", b.Setup(t.Context(), allow))
	return b
}

// open is a backend that is not set up yet, and torn down at the end.
func (s Suite) open(t testing.TB, owner string) firewall.Backend {
	t.Helper()
	b := s.New(t, firewall.Options{Ports: Ports, Owner: owner, Now: s.Now})
	t.Cleanup(func() {
		if err := b.Teardown(context.Background()); err != nil {
			t.Errorf("teardown: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// entry is a ban of a prefix for so long from now.
func (s Suite) entry(prefix string, door maillog.Door, d time.Duration) ban.Entry {
	until := s.Now().Add(d).Unix()
	return ban.Entry{Prefix: netip.MustParsePrefix(prefix), Door: door, Until: until, Deadline: until}
}

// A book is what a backend ought to hold.
type book map[firewall.Key]ban.Entry

// apply changes the backend and the book alike.
func (m book) apply(t testing.TB, b firewall.Backend, c ban.Change) {
	t.Helper()
	must(t, "apply", b.Apply(t.Context(), c))
	for _, e := range c.Remove {
		delete(m, firewall.KeyOf(e))
	}
	for _, list := range [][]ban.Entry{c.Add, c.Refresh} {
		for _, e := range list {
			m[firewall.KeyOf(e)] = e
		}
	}
}

func (m book) entries() []ban.Entry {
	var all []ban.Entry
	for _, e := range m {
		all = append(all, e)
	}
	return all
}

// check compares what the backend says with the book.
func (m book) check(t testing.TB, s Suite, b firewall.Backend) {
	t.Helper()
	m.within(t, s, b, 0)
}

// within is check after changes that took so long: a kernel counts the time that
// an entry has from when it takes it, so it may hold it for as much longer.
func (m book) within(t testing.TB, s Suite, b firewall.Backend, took time.Duration) {
	t.Helper()
	longer := int64((took + time.Second - 1) / time.Second)
	before := s.Now()
	active, err := b.Active(t.Context())
	after := s.Now() // a large one takes seconds: each entry was read some time between
	must(t, "active", err)
	seen := make(book, len(active))
	var last ban.Entry
	wrong := 0
	fail := func(format string, args ...any) {
		t.Helper()
		if wrong++; wrong <= 10 {
			t.Errorf(format, args...)
		}
	}
	for i, a := range active {
		key := firewall.KeyOf(a.Entry)
		if _, twice := seen[key]; twice {
			fail("%v at %v is there twice", key.Prefix, key.Door)
		}
		if i > 0 && firewall.Compare(last, a.Entry) > 0 {
			fail("%v at %v is out of order", key.Prefix, key.Door)
		}
		last = a.Entry
		seen[key] = a.Entry
		want, ok := m[key]
		if !ok {
			fail("%v at %v is there and should not be", key.Prefix, key.Door)
			continue
		}
		if !a.Present {
			fail("%v at %v: active and not present", key.Prefix, key.Door)
		}
		if s.Deadlines {
			if d := a.Deadline - want.Deadline; d < -firewall.Slack || d > firewall.Slack+longer {
				fail("%v at %v: deadline is off by %d s", key.Prefix, key.Door, d)
			}
			end := time.Unix(want.Deadline, 0)
			least, most := end.Sub(after)-firewall.Slack*time.Second, end.Sub(before)+(firewall.Slack+time.Duration(longer))*time.Second
			if a.Remaining < least || a.Remaining > most {
				fail("%v at %v: remaining time %v is not between %v and %v", key.Prefix, key.Door, a.Remaining, least, most)
			}
		}
	}
	for key := range m {
		if _, ok := seen[key]; !ok {
			fail("%v at %v is missing", key.Prefix, key.Door)
		}
	}
	if wrong > 10 {
		t.Errorf("and %d more", wrong-10)
	}
	if t.Failed() {
		t.FailNow()
	}
}

func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v (%s)", what, err, firewall.Hint(err))
	}
}
