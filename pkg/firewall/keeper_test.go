package firewall_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/memory"
	"github.com/postmoat/postmoat/pkg/maillog"
)

var ports = [maillog.NumDoors][]uint16{{25}, {587}}

// A shaky backend is the memory, with faults and a foreign hand.
type shaky struct {
	*memory.Backend

	mu      sync.Mutex
	rnd     *rand.Rand // nil: no faults
	broken  error      // not nil: nothing works
	foreign bool       // somebody else was there since the last reading
	calls   map[string]int
	tell    func(firewall.Event) // of Watch
	reading func()               // what Active does before it reads
}

func newShaky(t *testing.T) *shaky {
	m, err := memory.New(firewall.Options{Ports: ports})
	if err != nil {
		t.Fatal(err)
	}
	return &shaky{Backend: m, calls: make(map[string]int)}
}

var errShaky = errors.New("shaky")

// fault counts a call, and says whether it fails and whether it has an effect
// all the same.
func (s *shaky) fault(call string) (err error, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[call]++
	if s.broken != nil {
		return s.broken, false
	}
	if s.rnd != nil && s.rnd.IntN(5) == 0 {
		return errShaky, s.rnd.IntN(2) == 0
	}
	return nil, true
}

func (s *shaky) count(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

func (s *shaky) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *shaky) Setup(ctx context.Context, allow []netip.Prefix) error {
	err, done := s.fault("setup")
	if done {
		err = errors.Join(err, s.Backend.Setup(ctx, allow))
	}
	return err
}

func (s *shaky) SetAllow(ctx context.Context, allow []netip.Prefix) error {
	err, done := s.fault("allow")
	if done {
		err = errors.Join(err, s.Backend.SetAllow(ctx, allow))
	}
	return err
}

// Apply that fails may have done some of it.
func (s *shaky) Apply(ctx context.Context, c ban.Change) error {
	err, done := s.fault("apply")
	if err != nil && done {
		c = ban.Change{Add: c.Add[:len(c.Add)/2], Remove: c.Remove[:len(c.Remove)/2]}
	}
	if done {
		err = errors.Join(err, s.Backend.Apply(ctx, c))
	}
	return err
}

func (s *shaky) Active(ctx context.Context) ([]firewall.Active, error) {
	s.mu.Lock()
	reading := s.reading
	s.foreign = false
	s.mu.Unlock()
	if reading != nil {
		reading()
	}
	if err, _ := s.fault("active"); err != nil {
		return nil, err
	}
	return s.Backend.Active(ctx)
}

func (s *shaky) Counters(ctx context.Context, entries []ban.Entry) ([]firewall.Counter, error) {
	if err, _ := s.fault("counters"); err != nil {
		return nil, err
	}
	return s.Backend.Counters(ctx, entries)
}

func (s *shaky) Check(ctx context.Context) (firewall.Drift, error) {
	if err, _ := s.fault("check"); err != nil {
		return firewall.Drift{}, err
	}
	d, err := s.Backend.Check(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Unproven = s.foreign
	return d, err
}

func (s *shaky) Watch(ctx context.Context, f func(firewall.Event)) error {
	s.set(func() { s.tell = f })
	f(firewall.Event{Started: true})
	<-ctx.Done()
	return nil
}

// meddle is the foreign hand.
func (s *shaky) meddle(t *testing.T, c ban.Change) {
	if err := s.Backend.Apply(t.Context(), c); err != nil && !errors.Is(err, firewall.ErrGone) {
		t.Error(err)
	}
	s.mu.Lock()
	s.foreign = true
	tell := s.tell
	s.mu.Unlock()
	if tell != nil {
		tell(firewall.Event{What: []string{"meddled"}, Program: "somebody"})
	}
}

// A model is what the engine believes.
type model map[firewall.Key]ban.Entry

func (m model) random(rnd *rand.Rand) ban.Change {
	var c ban.Change
	touched := make(map[firewall.Key]bool)
	for range 1 + rnd.IntN(8) {
		e := ban.Entry{
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rnd.IntN(100))}), 32),
			Door:   maillog.Door(rnd.IntN(2)), Deadline: time.Now().Unix() + 3600 + rnd.Int64N(3600),
		}
		key := firewall.KeyOf(e)
		if touched[key] {
			continue
		}
		touched[key] = true
		switch _, held := m[key]; {
		case held && rnd.IntN(2) == 0:
			c.Refresh = append(c.Refresh, e)
		case held:
			c.Remove = append(c.Remove, m[key])
			delete(m, key)
			continue
		default:
			c.Add = append(c.Add, e)
		}
		m[key] = e
	}
	return c
}

// check compares the model with what the memory really holds.
func (m model) check(t *testing.T, s *shaky) {
	t.Helper()
	have, err := s.Backend.Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Collect(maps.Values(m))
	if c := firewall.Plan(have, want, time.Now().Unix()); !c.Empty() {
		t.Fatalf("the firewall is not in step: missing %v, other deadline %v, too many %v", c.Add, c.Refresh, c.Remove)
	}
}

// told collects what Made is told.
type told struct {
	mu   sync.Mutex
	made model
}

func (m *told) add(list []ban.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range list {
		m.made[firewall.KeyOf(e)] = e
	}
}

func (m *told) has(t *testing.T, want model) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, e := range want {
		if m.made[key] != e {
			t.Errorf("nobody was told that %v is in force until %d", key, e.Deadline)
		}
	}
}

// TestKeeperKeepsStep: whatever looks go on, a change that was made stays made;
// and one that has to wait is made in the end.
func TestKeeperKeepsStep(t *testing.T) {
	s := newShaky(t)
	made := told{made: make(model)}
	k := firewall.NewKeeper(s, firewall.KeeperOptions{Made: made.add, Every: time.Microsecond, Full: time.Nanosecond})
	if err := k.Want(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { k.Run(ctx) })
	defer running.Wait()
	defer cancel()

	rnd := rand.New(rand.NewPCG(rand.Uint64(), 0))
	m := make(model)
	waited := 0
	for range 3000 {
		if err := k.Apply(ctx, m.random(rnd)); errors.Is(err, firewall.ErrPending) {
			waited++
			if rnd.IntN(3) > 0 {
				continue // more in the queue
			}
			if err := k.Settle(ctx); err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
		m.check(t, s)
	}
	if err := k.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	m.check(t, s)
	made.has(t, m)
	st := k.State()
	if st.Repairs != 0 || st.Failed != 0 || !st.InStep || st.Wanted != len(m) || st.Pending != 0 {
		t.Errorf("state = %+v, with %d entries and nothing wrong", st, len(m))
	}
	t.Logf("%d looks, %d readings, %d changes had to wait", s.count("check"), s.count("active"), waited)
}

// TestKeeperThroughThickAndThin: a backend that fails at random, half doing what
// it was told, a foreign hand, and everybody talking at once.
func TestKeeperThroughThickAndThin(t *testing.T) {
	var failed uint64
	for seed := range uint64(8) {
		s := newShaky(t)
		made := told{made: make(model)}
		k := firewall.NewKeeper(s, firewall.KeeperOptions{Made: made.add, Every: 50 * time.Microsecond, Full: time.Millisecond})
		s.rnd = rand.New(rand.NewPCG(seed, 1))
		_ = k.Want(t.Context(), nil, nil) // may fail
		ctx, cancel := context.WithCancel(t.Context())
		var running, talking sync.WaitGroup
		running.Go(func() { k.Run(ctx) })

		m := make(model)
		var allow []netip.Prefix
		talking.Go(func() { // the engine
			rnd := rand.New(rand.NewPCG(seed, 2))
			for range 300 {
				if err := k.Apply(ctx, m.random(rnd)); err != nil && !errors.Is(err, firewall.ErrPending) {
					t.Error(err)
				}
			}
		})
		talking.Go(func() { // the allowlist
			for i := range 50 {
				allow = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32)}
				if err := k.SetAllow(ctx, allow); err != nil && !errors.Is(err, firewall.ErrPending) {
					t.Error(err)
				}
			}
		})
		talking.Go(func() { // metrics and renewals
			for range 100 {
				if _, err := k.Counters(ctx, []ban.Entry{{Prefix: netip.MustParsePrefix("192.0.2.1/32")}}); err != nil && !errors.Is(err, errShaky) {
					t.Error(err)
				}
				k.State()
			}
		})
		talking.Go(func() { // somebody else
			rnd := rand.New(rand.NewPCG(seed, 3))
			for range 20 {
				if rnd.IntN(3) == 0 {
					if err := s.Teardown(ctx); err != nil {
						t.Error(err)
					}
				}
				s.meddle(t, model{}.random(rnd))
			}
		})
		talking.Wait()
		s.set(func() { s.rnd = nil })
		if err := k.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		// What the foreign hand has done last may not have been seen yet.
		for step := 0; ; step++ {
			st := k.State()
			drift, err := s.Check(ctx)
			if err == nil && drift.OK() && st.InStep {
				break
			}
			if step > 1e6 {
				t.Fatalf("seed %d: not in step: %+v, %+v, %v", seed, st, drift, err)
			}
			time.Sleep(10 * time.Microsecond)
		}
		if err := k.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		m.check(t, s)
		made.has(t, m)
		e := ban.Entry{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Deadline: time.Now().Unix() + 100}
		if err := k.Apply(ctx, ban.Change{Add: []ban.Entry{e}}); err != nil && !errors.Is(err, firewall.ErrPending) {
			t.Fatal(err)
		}
		if err := k.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		if s.Cuts(allow[0].Addr(), 25) || !s.Cuts(netip.MustParseAddr("198.51.100.200"), 25) {
			t.Errorf("seed %d: the last allowlist is not in force", seed)
		}
		failed += k.State().Failed
		cancel()
		running.Wait()
	}
	if failed == 0 {
		t.Error("nothing ever failed")
	}
}

func entry(a string) ban.Entry {
	return ban.Entry{Prefix: netip.MustParsePrefix(a), Deadline: time.Now().Unix() + 3600}
}

// TestKeeperDoesNotWait: while everything is read, a change is put off at once,
// and is in force when the reading has ended.
func TestKeeperDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShaky(t)
		k := firewall.NewKeeper(s, firewall.KeeperOptions{})
		first := entry("192.0.2.1/32")
		if err := k.Want(t.Context(), nil, []ban.Entry{first}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go k.Run(ctx)
		synctest.Wait()
		s.set(func() { s.reading = func() { time.Sleep(5 * time.Second) } })
		s.meddle(t, ban.Change{})
		synctest.Wait() // it reads

		began := time.Now()
		second := entry("192.0.2.2/32")
		if err := k.Apply(ctx, ban.Change{Add: []ban.Entry{second}}); !errors.Is(err, firewall.ErrPending) {
			t.Errorf("err = %v, want ErrPending", err)
		}
		if err := k.Apply(ctx, ban.Change{Remove: []ban.Entry{first}}); !errors.Is(err, firewall.ErrPending) {
			t.Errorf("err = %v, want ErrPending", err)
		}
		if st := k.State(); st.InStep || st.Pending != 2 {
			t.Errorf("state = %+v", st)
		}
		if _, err := k.Counters(timeout(ctx, time.Second), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("counters: err = %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("that took %v, of which a second for the counters", took)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		model{firewall.KeyOf(second): second}.check(t, s)
		if st := k.State(); !st.InStep || st.Repairs != 0 || st.Wanted != 1 || st.Held != 1 {
			t.Errorf("state = %+v", st)
		}
	})
}

func timeout(ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(ctx, d)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// TestKeeperTriesAgain: a backend that does not work is not beset, and gets
// everything when it works again.
func TestKeeperTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShaky(t)
		made := told{made: make(model)}
		k := firewall.NewKeeper(s, firewall.KeeperOptions{Made: made.add})
		s.broken = errShaky
		if err := k.Want(t.Context(), nil, nil); !errors.Is(err, errShaky) {
			t.Errorf("err = %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go k.Run(ctx)
		m := make(model)
		rnd := rand.New(rand.NewPCG(3, 4))
		began := time.Now()
		for range 600 {
			if err := k.Apply(ctx, m.random(rnd)); !errors.Is(err, firewall.ErrPending) {
				t.Fatalf("err = %v, want ErrPending", err)
			}
			time.Sleep(time.Second)
		}
		// Seven attempts in the first half minute, two a minute after, and
		// one with each look.
		if n := s.count("check"); n < 20 || n > 40 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		st := k.State()
		if st.InStep || !errors.Is(st.Err, errShaky) || !st.Since.Equal(began) || st.Wanted != len(m) || st.Failed == 0 {
			t.Errorf("state = %+v", st)
		}
		s.set(func() { s.broken = nil })
		time.Sleep(30 * time.Second)
		synctest.Wait()
		m.check(t, s)
		made.has(t, m)
		if st := k.State(); !st.InStep || st.Err != nil || !st.Since.IsZero() || st.Held != len(m) {
			t.Errorf("state = %+v", st)
		}

		// One failure: tried again soon.
		s.set(func() { s.broken = errShaky })
		e := entry("203.0.113.1/32")
		m[firewall.KeyOf(e)] = e
		if err := k.Apply(ctx, ban.Change{Add: []ban.Entry{e}}); !errors.Is(err, firewall.ErrPending) || !errors.Is(err, errShaky) {
			t.Errorf("err = %v, want ErrPending with its reason", err)
		}
		s.set(func() { s.broken = nil })
		time.Sleep(time.Second)
		synctest.Wait()
		m.check(t, s)
	})
}

// TestKeeperReadsSlowOnesInSlices: where reading everything takes long, what was
// taken away is put back without, and what was added is found in time.
func TestKeeperReadsSlowOnesInSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShaky(t)
		s.reading = func() { time.Sleep(time.Second) }
		k := firewall.NewKeeper(s, firewall.KeeperOptions{Every: time.Minute, Full: 10 * time.Minute})
		m := make(model)
		for i := range 5000 {
			e := entry(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 32).String())
			m[firewall.KeyOf(e)] = e
		}
		if err := k.Want(t.Context(), nil, slices.Collect(maps.Values(m))); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go k.Run(ctx)
		time.Sleep(10 * time.Second)
		if n := s.count("active"); n != 1 {
			t.Errorf("%d readings at the start", n)
		}
		foreign := entry("203.0.113.9/32")
		gone := []ban.Entry{entry("192.0.0.7/32"), entry("192.0.19.7/32")}
		s.meddle(t, ban.Change{Add: []ban.Entry{foreign}, Remove: gone})
		synctest.Wait()
		if !s.Cuts(gone[0].Prefix.Addr(), 25) || !s.Cuts(gone[1].Prefix.Addr(), 25) {
			t.Error("what was taken away is not back")
		}
		if n := s.count("active"); n != 1 {
			t.Errorf("%d readings to put back two", n)
		}
		if st := k.State(); st.Repairs != 1 {
			t.Errorf("%d repairs", st.Repairs)
		}
		// Everything is gone.
		if err := s.Teardown(ctx); err != nil {
			t.Fatal(err)
		}
		s.meddle(t, ban.Change{})
		synctest.Wait()
		if !s.Cuts(gone[0].Prefix.Addr(), 25) {
			t.Error("what was torn down is not back")
		}
		s.meddle(t, ban.Change{Add: []ban.Entry{foreign}})
		time.Sleep(12 * time.Minute)
		m.check(t, s)
		if n := s.count("active"); n < 2 || n > 3 {
			t.Errorf("%d readings in 12 minutes", n)
		}
	})
}

// TestKeeperEnds: what has ended is no harm, wanted no more and not put back.
func TestKeeperEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShaky(t)
		k := firewall.NewKeeper(s, firewall.KeeperOptions{Full: time.Second})
		e := entry("192.0.2.1/32")
		if err := k.Want(t.Context(), nil, []ban.Entry{e}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go k.Run(ctx)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if st := k.State(); st.Wanted != 0 || st.Repairs != 0 || !st.InStep {
			t.Errorf("state = %+v", st)
		}
		model{}.check(t, s)
	})
}

func TestKeeperRefuses(t *testing.T) {
	s := newShaky(t)
	k := firewall.NewKeeper(s, firewall.KeeperOptions{})
	bad := ban.Entry{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Deadline: time.Now().Unix() + 99}
	mapped := []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.1/128")}
	for what, err := range map[string]error{
		"want":      k.Want(t.Context(), nil, []ban.Entry{bad}),
		"want too":  k.Want(t.Context(), mapped, nil),
		"apply":     k.Apply(t.Context(), ban.Change{Add: []ban.Entry{bad}}),
		"allowlist": k.SetAllow(t.Context(), mapped),
	} {
		if !errors.Is(err, firewall.ErrBadEntry) {
			t.Errorf("%s: err = %v", what, err)
		}
	}
	// Before Want nothing is done.
	e := entry("192.0.2.1/32")
	if err := k.Apply(t.Context(), ban.Change{Add: []ban.Entry{e}}); !errors.Is(err, firewall.ErrPending) {
		t.Errorf("err = %v", err)
	}
	if s.count("apply") != 0 || s.count("setup") != 0 || k.State().InStep {
		t.Error("it acts before anybody has said what is wanted")
	}
	if st := k.State(); !strings.Contains(st.Backend, "memory") {
		t.Errorf("state = %+v", st)
	}
}
