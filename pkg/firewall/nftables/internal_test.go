//go:build linux

package nftables

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/maillog"
	"golang.org/x/sys/unix"
)

func TestSlotNames(t *testing.T) {
	for door := range maillog.NumDoors {
		for bits := 1; bits <= 128; bits++ {
			s := slot{v6: true, bits: bits, door: door}
			if got, ok := parseSlot(s.set()); !ok || got != s {
				t.Errorf("parseSlot(%q) = %v, %v", s.set(), got, ok)
			}
			s.v6 = false
			if got, ok := parseSlot(s.set()); ok != (bits <= 32) || ok && got != s {
				t.Errorf("parseSlot(%q) = %v, %v", s.set(), got, ok)
			}
		}
	}
	for _, bad := range []string{"", "smtp", "smtp4", "smtp4_", "smtp4_0", "smtp4_024", "smtp5_24", "smtp4-24", "smtp4_x", "allow4", "imap4_24", "login6_129", "smtp4_+8"} {
		if s, ok := parseSlot(bad); ok {
			t.Errorf("parseSlot(%q) = %v", bad, s)
		}
	}
}

// TestSpans compares with a list of all addresses of a small universe: both
// ends of the address space, where intervals go wrong.
func TestSpans(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 2000 {
		var prefixes []netip.Prefix
		for range rnd.IntN(6) {
			for _, base := range []string{"0.0.0.0", "255.255.255.0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00"} {
				if rnd.IntN(2) == 0 {
					continue
				}
				b := netip.MustParseAddr(base).AsSlice()
				b[len(b)-1] = byte(rnd.IntN(256))
				a, _ := netip.AddrFromSlice(b)
				p, _ := a.Prefix(a.BitLen() - rnd.IntN(9))
				prefixes = append(prefixes, p)
			}
		}
		all := spans(prefixes)
		for i := 1; i < len(all); i++ {
			if touches(all[i-1].last, all[i].first) || all[i].first.Less(all[i-1].first) {
				t.Fatalf("%v: %v and %v touch", prefixes, all[i-1], all[i])
			}
		}
		for _, base := range []string{"0.0.0.0", "255.255.255.0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00"} {
			b := netip.MustParseAddr(base).AsSlice()
			for low := range 256 {
				b[len(b)-1] = byte(low)
				a, _ := netip.AddrFromSlice(b)
				want := slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
				got := slices.ContainsFunc(all, func(s span) bool {
					return s.first.BitLen() == a.BitLen() && s.first.Compare(a) <= 0 && a.Compare(s.last) <= 0
				})
				if got != want {
					t.Fatalf("%v -> %v: %v is %v, want %v", prefixes, all, a, got, want)
				}
			}
		}
	}
	for p, want := range map[string]int{"0.0.0.0/0": 1, "255.255.255.255/32": 1, "0.0.0.0/32": 2, "::/0": 1, "8000::/1": 1, "::/1": 2} {
		if got := spans([]netip.Prefix{netip.MustParsePrefix(p)})[0].elements(); len(got) != want {
			t.Errorf("%s has %d elements, want %d: the end of all addresses is none", p, len(got), want)
		}
	}
}

func TestGenerations(t *testing.T) {
	for gen, want := range map[uint32]uint32{0: 0, 1: 2, 1<<32 - 1: 1} {
		if got := after(gen); got != want {
			t.Errorf("after(%d) = %d, want %d", gen, got, want)
		}
	}
}

// TestExplain: every way in which the kernel says no leads to what the operator
// can do.
func TestExplain(t *testing.T) {
	for errno, want := range map[error]error{
		unix.EPERM:           firewall.ErrNotPermitted,
		unix.EOPNOTSUPP:      firewall.ErrMissingModule,
		unix.EPROTONOSUPPORT: firewall.ErrMissingModule,
		unix.ENFILE:          firewall.ErrSetFull,
		unix.ENOMEM:          firewall.ErrSetFull,
		unix.ENOENT:          firewall.ErrGone,
		errLost:              firewall.ErrUncertain,
	} {
		err := explain("apply", errno)
		if !errors.Is(err, want) || !errors.Is(err, errno) || firewall.Hint(err) == "" {
			t.Errorf("explain(%v) = %v, want %v with a hint", errno, err, want)
		}
		if again := explain("set up", err); again != err {
			t.Errorf("explained twice: %v", again)
		}
	}
	if err := explain(opSetup, unix.ENOENT); !errors.Is(err, firewall.ErrMissingModule) {
		t.Errorf("a kernel part that is missing in Setup: %v", err)
	}
	if err := explain("apply", unix.EIO); err == nil || !errors.Is(err, unix.EIO) {
		t.Errorf("an unknown error became %v", err)
	}
}

// TestHalve: both halves are smaller, and together they are the whole.
func TestHalve(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	list := func() []element { return make([]element, rnd.IntN(3)) }
	for range 1000 {
		jobs := make(map[slot]*job)
		for i := range rnd.IntN(4) {
			jobs[slot{bits: i}] = &job{add: list(), refresh: list(), remove: list()}
		}
		first, second, ok := halve(jobs)
		if size(first)+size(second) != size(jobs) {
			t.Fatalf("%d and %d of %d", size(first), size(second), size(jobs))
		}
		if ok != (size(jobs) > 1) {
			t.Fatalf("halve of %d: %v", size(jobs), ok)
		}
	}
}

// up is a backend with a table in the namespace of the tests.
func up(t *testing.T) *Backend {
	t.Helper()
	firewalltest.NeedNamespace(t)
	b, err := New(firewall.Options{Ports: firewalltest.Ports})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Setup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Teardown(context.Background())
		b.Close()
	})
	return b
}

func held1(t *testing.T, b *Backend, want int) {
	t.Helper()
	active, err := b.Active(t.Context())
	if err != nil || len(active) != want {
		t.Fatalf("%d entries are there, want %d (%v)", len(active), want, err)
	}
}

// TestSmallBuffer: where the host allows only a small send buffer, a change is
// several transactions, and nothing is lost.
func TestSmallBuffer(t *testing.T) {
	b := up(t)
	b.sock.send = 2000
	all := firewalltest.Bulk(3000, time.Now())
	if err := b.Apply(t.Context(), ban.Change{Add: all}); err != nil {
		t.Fatal(err)
	}
	held1(t, b, len(all))
	b.sock.send = 2000
	if err := b.Apply(t.Context(), ban.Change{Refresh: all[:1000], Remove: all[1000:2500]}); err != nil {
		t.Fatal(err)
	}
	held1(t, b, 1500)
	b.sock.send = 100 // not even one entry
	if err := b.Apply(t.Context(), ban.Change{Add: all[2000:2001]}); !errors.Is(err, firewall.ErrSetFull) {
		t.Errorf("err = %v, want ErrSetFull", err)
	}
}

// clog fills the receive buffer with answers that nobody reads, so that the
// next one is lost.
func clog(t *testing.T, b *Backend) {
	t.Helper()
	if err := unix.SetsockoptInt(b.sock.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		var q batch
		q.open(subsystem|unix.NFT_MSG_GETGEN, unix.NLM_F_REQUEST, unix.AF_UNSPEC, 0)
		q.close()
		q.number(1 << 30)
		if err := b.sock.write(q.b); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLostAnswer: the transaction is committed and its answer lost. The change
// is made all the same, and the socket is not poisoned for what follows.
func TestLostAnswer(t *testing.T) {
	b := up(t)
	all := firewalltest.Bulk(200, time.Now())
	if err := b.Apply(t.Context(), ban.Change{Add: all[:100]}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []ban.Change{{Add: all[100:]}, {Refresh: all[:50]}, {Remove: all[:20]}} {
		clog(t, b)
		clogged := b.sock
		if err := b.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if b.sock == clogged {
			t.Fatal("no answer was lost: the test shows nothing")
		}
	}
	held1(t, b, 180)
	clog(t, b)
	if _, err := b.Counters(t.Context(), all); !errors.Is(err, firewall.ErrUncertain) {
		t.Errorf("counters: err = %v, want ErrUncertain", err)
	}
	counters, err := b.Counters(t.Context(), all)
	if err != nil || counters[0].Present || !counters[199].Present {
		t.Errorf("counters after that: %v", err)
	}
}

// TestTableGone: a change cannot be made in a table that somebody deleted. The
// error says so; setting up heals it.
func TestTableGone(t *testing.T) {
	b := up(t)
	all := firewalltest.Bulk(10, time.Now())
	if err := b.Apply(t.Context(), ban.Change{Add: all[:5]}); err != nil {
		t.Fatal(err)
	}
	other, err := New(firewall.Options{Ports: firewalltest.Ports})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Teardown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []ban.Change{{Add: all}, {Refresh: all[:1]}, {Remove: all[:1]}} {
		if err := b.Apply(t.Context(), c); !errors.Is(err, firewall.ErrGone) {
			t.Errorf("err = %v, want ErrGone", err)
		}
	}
	if err := b.SetAllow(t.Context(), nil); !errors.Is(err, firewall.ErrGone) {
		t.Errorf("allow: err = %v, want ErrGone", err)
	}
	held1(t, b, 0)
	if err := b.Setup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), ban.Change{Add: all}); err != nil {
		t.Fatal(err)
	}
	held1(t, b, 10)
}

// TestNotPermitted runs on a thread that has given up its capabilities.
func TestNotPermitted(t *testing.T) {
	firewalltest.NeedNamespace(t)
	done := make(chan map[string]error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with us
		var none [2]unix.CapUserData
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			done <- map[string]error{"capset": err}
			return
		}
		b, err := New(firewall.Options{Ports: firewalltest.Ports})
		errs := map[string]error{}
		if err == nil {
			errs["setup"] = b.Setup(t.Context(), nil)
			_, errs["active"] = b.Active(t.Context())
			_, errs["check"] = b.Check(t.Context())
			_, errs["counters"] = b.Counters(t.Context(), firewalltest.Bulk(1, time.Now()))
			errs["teardown"] = b.Teardown(t.Context())
			errs["watch"] = b.Watch(t.Context(), func(firewall.Event) {})
			b.Close()
		}
		done <- errs
	}()
	errs := <-done
	if len(errs) != 6 {
		t.Fatalf("%v", errs)
	}
	for what, err := range errs {
		if !errors.Is(err, firewall.ErrNotPermitted) || firewall.Hint(err) == "" {
			t.Errorf("%s: err = %v, want ErrNotPermitted with a hint", what, err)
		}
	}
}

// FuzzMessage: nothing that comes out of a socket makes us panic.
func FuzzMessage(f *testing.F) {
	var b batch
	b.elements(unix.NFT_MSG_NEWSETELEM, 0, "postmoat", "smtp4_24", 4, []element{{timeout: time.Hour}, {end: true}})
	f.Add(b.b)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) < headerLen {
			return
		}
		binary.NativeEndian.PutUint32(raw, uint32(len(raw)))
		m := message{raw}
		m.result()
		elementsOf(m)
		describe(m.kind()&0xff, m.body())
	})
}

// TestMessage: what we write is what we read.
func TestMessage(t *testing.T) {
	var b batch
	e := []element{{key: key(netip.MustParsePrefix("192.0.2.0/24")), timeout: 90 * time.Second}, {key: key(netip.MustParsePrefix("192.0.3.0/24")), end: true}}
	b.elements(unix.NFT_MSG_NEWSETELEM, 0, "postmoat", "smtp4_24", 4, e)
	got := elementsOf(message{b.b})
	want := []held{{key: e[0].key, timeout: 90 * time.Second}, {key: e[1].key, end: true}}
	if !slices.Equal(got, want) {
		t.Errorf("elements = %+v, want %+v", got, want)
	}
	if got := text(attribute(message{b.b}.body(), unix.NFTA_SET_ELEM_LIST_SET)); got != "smtp4_24" {
		t.Errorf("set = %q", got)
	}
}

// TestSplits compares with every pair of entries.
func TestSplits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	some := func() (list []ban.Entry) {
		for range rnd.IntN(4) {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rnd.IntN(256))}), 25+rnd.IntN(8))
			if rnd.IntN(2) == 0 {
				p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(rnd.IntN(256))}), 121+rnd.IntN(8))
			}
			list = append(list, ban.Entry{Prefix: p.Masked(), Door: maillog.Door(rnd.IntN(2))})
		}
		return list
	}
	seen := make(map[bool]int)
	for range 3000 {
		c := ban.Change{Add: some(), Refresh: some(), Remove: some()}
		want := false
		for _, old := range c.Remove {
			for _, e := range append(slices.Clone(c.Add), c.Refresh...) {
				want = want || old.Prefix.Overlaps(e.Prefix) && old.Prefix.Bits() <= e.Prefix.Bits()
			}
		}
		seen[want]++
		if got := splits(c); got != want {
			t.Fatalf("splits(%v) = %v", c, got)
		}
	}
	if seen[true] < 100 || seen[false] < 100 {
		t.Errorf("too few of a kind: %v", seen)
	}
}
