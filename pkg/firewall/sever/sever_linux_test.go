package sever_test

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/firewall/sever"
	"github.com/postmoat/postmoat/pkg/maillog"
	"golang.org/x/sys/unix"
)

func newSeverer(t testing.TB) *sever.Severer {
	t.Helper()
	s, err := sever.New(options)
	if err != nil {
		t.Fatalf("new: %v (%s)", err, firewall.Hint(err))
	}
	return s
}

func entry(p string, d maillog.Door) ban.Entry {
	return ban.Entry{Prefix: netip.MustParsePrefix(p), Door: d}
}

// cut severs and compares what became of each session with what is wanted.
func cut(t *testing.T, s *sever.Severer, entries []ban.Entry, sessions map[session]bool) {
	t.Helper()
	reads := make(map[session]<-chan error)
	want := 0
	for x, dies := range sessions {
		if dies {
			want++
			reads[x] = x.read()
		}
	}
	res, err := s.Sever(t.Context(), entries)
	if err != nil {
		t.Fatalf("sever: %v (%s)", err, firewall.Hint(err))
	}
	if res.Destroyed != want {
		t.Fatalf("%d sockets destroyed, want %d", res.Destroyed, want)
	}
	for x, dies := range sessions {
		if !dies {
			if !x.lives() {
				t.Errorf("%s is cut", x.what)
			}
			continue
		}
		if err := <-reads[x]; !errors.Is(err, syscall.ECONNABORTED) {
			t.Errorf("%s: server reads %v, want an abort", x.what, err)
		}
		x.client.SetDeadline(time.Now().Add(patience))
		if _, err := x.client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: client reads %v, want a reset", x.what, err)
		}
	}
}

// TestAllow: the allowlisted live on in the middle of a banned network, until
// they are that no more.
func TestAllow(t *testing.T) {
	w := newWorld(t)
	s := newSeverer(t)
	s.SetAllow([]netip.Prefix{netip.MustParsePrefix("192.0.2.8/32"), netip.MustParsePrefix("2001:db8:0:701::/64")})
	bans := []ban.Entry{entry("192.0.2.0/24", maillog.SMTP), entry("2001:db8:0:700::/56", maillog.SMTP)}
	friends := []session{w.open(t, "192.0.2.8", 25), w.open(t, "2001:db8:0:701::7", 25)}
	cut(t, s, bans, map[session]bool{
		w.open(t, "192.0.2.7", 25):         true,
		w.open(t, "2001:db8:0:700::7", 25): true,
		friends[0]:                         false,
		friends[1]:                         false,
	})
	s.SetAllow(nil)
	cut(t, s, bans, map[session]bool{friends[0]: true, friends[1]: true})
}

// TestNetwork: a wide entry cuts its own door, of IPv4 clients at sockets of
// both kinds, of IPv6 clients, and nobody else; the server still listens.
func TestNetwork(t *testing.T) {
	w := newWorld(t)
	s := newSeverer(t)
	sessions := map[session]bool{
		w.open(t, "192.0.2.7", 25):           true, // IPv4-mapped
		w.open(t, "192.0.2.8", 25):           true,
		w.open(t, "192.0.2.8", 587):          false, // another door
		w.open(t, "192.0.2.8", 143):          false,
		w.open(t, "192.0.2.8", 2222):         false, // no door
		w.open(t, "192.0.3.7", 25):           false, // a neighbour
		w.open(t, "203.0.113.5", 25):         false, // banned at the other door
		w.open(t, "203.0.113.5", 587):        true,  // a socket of IPv4 alone
		w.open(t, "2001:db8:0:700::7", 25):   true,
		w.open(t, "2001:db8:0:701::7", 25):   true,
		w.open(t, "2001:db8:0:701::7", 587):  false,
		w.open(t, "2001:db8:0:800::1", 25):   false,
		w.open(t, "2001:db8:0:800::1", 143):  false,
		w.open(t, "2001:db8:0:800::1", 2222): false,
	}
	cut(t, s, []ban.Entry{
		entry("192.0.2.0/24", maillog.SMTP), entry("203.0.113.0/25", maillog.Login), entry("2001:db8:0:700::/56", maillog.SMTP),
	}, sessions)
	again := w.open(t, "192.0.2.7", 25)
	if !again.lives() {
		t.Error("the server listens no more")
	}
}

// TestHost: a host is cut at every door, whichever it is banned at.
func TestHost(t *testing.T) {
	w := newWorld(t)
	s := newSeverer(t)
	sessions := make(map[session]bool)
	for _, port := range []int{25, 587, 143, 2222} {
		mail := port != 2222
		sessions[w.open(t, "192.0.2.7", port)] = mail
		sessions[w.open(t, "2001:db8:0:700::7", port)] = mail
		sessions[w.open(t, "2001:db8:0:700::8", port)] = mail // same /64
		sessions[w.open(t, "192.0.2.8", port)] = false
		sessions[w.open(t, "2001:db8:0:701::7", port)] = false
		sessions[w.open(t, "203.0.113.5", port)] = false
	}
	cut(t, s, []ban.Entry{
		entry("192.0.2.7/32", maillog.Login), entry("2001:db8:0:700::/64", maillog.SMTP),
		// No sessions, or only such as are no matter of theirs:
		entry("192.0.2.200/32", maillog.SMTP), entry("198.51.100.1/32", maillog.SMTP), entry("2001:db8:ffff::1/128", maillog.SMTP),
	}, sessions)
}

// TestNested: a prefix inside another one does not hide it.
func TestNested(t *testing.T) {
	w := newWorld(t)
	s := newSeverer(t)
	sessions := map[session]bool{
		w.open(t, "192.0.2.7", 25):          true,
		w.open(t, "192.0.2.7", 587):         true,
		w.open(t, "192.0.2.200", 25):        true,
		w.open(t, "192.0.2.200", 587):       false,
		w.open(t, "192.0.3.7", 25):          true,
		w.open(t, "192.0.3.7", 143):         true,
		w.open(t, "2001:db8:0:700::7", 25):  true,
		w.open(t, "2001:db8:0:700::7", 143): true,
	}
	cut(t, s, []ban.Entry{
		entry("192.0.2.0/24", maillog.SMTP), entry("192.0.2.0/28", maillog.Login),
		entry("192.0.3.0/24", maillog.Login), entry("192.0.3.0/24", maillog.SMTP),
		entry("2001:db8::/32", maillog.SMTP), entry("2001:db8:0:700::/60", maillog.Login),
	}, sessions)
}

// TestOwn: what we deliver to a banned network lives on.
func TestOwn(t *testing.T) {
	w := newWorld(t)
	s := newSeverer(t)
	there := listen(t, w.away, "tcp", ":25")
	here := firewalltest.Here(t)
	bans := []ban.Entry{entry("192.0.2.7/32", maillog.SMTP), entry("2001:db8:0:700::/56", maillog.SMTP)}
	cut(t, s, bans, map[session]bool{
		connect(t, here, server4, there, netip.MustParseAddrPort("192.0.2.7:25")):           false,
		connect(t, here, server6, there, netip.MustParseAddrPort("[2001:db8:0:700::7]:25")): false,
		w.open(t, "192.0.2.7", 25): true,
	})
}

// TestStates: a process may also hold what is not, or not any more, an
// established connection.
func TestStates(t *testing.T) {
	w := newWorld(t)
	s := newSeverer(t)
	const closed = unix.BPF_TCP_CLOSE

	closeWait := w.open(t, "192.0.2.7", 25)
	closeWait.client.CloseWrite()
	closeWait.until(t, unix.BPF_TCP_CLOSE_WAIT)
	closeWait6 := w.open(t, "2001:db8:0:700::7", 587)
	closeWait6.client.CloseWrite()
	closeWait6.until(t, unix.BPF_TCP_CLOSE_WAIT)
	finWait := w.open(t, "192.0.2.7", 587)
	finWait.server.CloseWrite()
	finWait.until(t, unix.BPF_TCP_FIN_WAIT2)
	lastAck := w.open(t, "192.0.2.7", 143)
	lastAck.client.CloseWrite()
	lastAck.until(t, unix.BPF_TCP_CLOSE_WAIT)
	spared := w.open(t, "192.0.2.8", 25)
	spared.client.CloseWrite()
	spared.until(t, unix.BPF_TCP_CLOSE_WAIT)

	w.unanswered(t, "192.0.2.99", 25)  // of both families
	w.unanswered(t, "192.0.2.99", 587) // of IPv4 alone
	w.unanswered(t, "192.0.2.100", 587)
	for end := time.Now().Add(patience); waiting(t, synRecv) < 3; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d sockets in SYN_RECV", waiting(t, synRecv))
		}
	}

	res, err := s.Sever(t.Context(), []ban.Entry{
		entry("192.0.2.7/32", maillog.SMTP), entry("192.0.2.99/32", maillog.SMTP), entry("2001:db8:0:700::/64", maillog.SMTP),
	})
	if err != nil || res.Destroyed != 6 {
		t.Errorf("%+v, %v; want 6 destroyed", res, err)
	}
	for _, x := range []session{closeWait, closeWait6, finWait, lastAck} {
		if got := x.state(t); got != closed {
			t.Errorf("%s: state %d", x.what, got)
		}
	}
	if got := spared.state(t); got != unix.BPF_TCP_CLOSE_WAIT {
		t.Errorf("%s: state %d", spared.what, got)
	}
	if got := waiting(t, synRecv); got != 1 {
		t.Errorf("%d sockets in SYN_RECV, want 1", got)
	}
	if res, err := s.Sever(t.Context(), []ban.Entry{entry("192.0.2.100/32", maillog.SMTP)}); err != nil || res.Destroyed != 1 {
		t.Errorf("%+v, %v; want 1 destroyed", res, err)
	}
}

// synRecv is how /proc/net/tcp writes the state.
const synRecv = "03"

func countState(table, state string) (n int) {
	for _, line := range strings.Split(table, "\n")[1:] {
		if f := strings.Fields(line); len(f) > 3 && f[3] == state {
			n++
		}
	}
	return n
}

// TestExamined: other ports are left out by the kernel, and once more by us
// where the ports are too many for it.
func TestExamined(t *testing.T) {
	w := newWorld(t)
	w.open(t, "192.0.2.7", 2222)
	w.open(t, "192.0.2.8", 25)
	w.open(t, "2001:db8:0:800::1", 143)
	many := options
	for p := range uint16(200) {
		many.Ports[maillog.SMTP] = append(many.Ports[maillog.SMTP], 10_001+2*p)
	}
	for _, o := range []firewall.Options{options, many} {
		s, err := sever.New(o)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Sever(t.Context(), []ban.Entry{entry("192.0.2.7/32", maillog.SMTP)})
		if err != nil || res.Examined != 2 || res.Destroyed != 0 {
			t.Errorf("%+v, %v; want 2 examined, 0 destroyed", res, err)
		}
	}
}

// TestMany: more sockets than are remembered at once, and more entries than
// sockets.
func TestMany(t *testing.T) {
	w := newWorld(t)
	s := newSeverer(t)
	s.Remember(7)
	sessions := make(map[session]bool)
	for range 20 {
		sessions[w.open(t, "192.0.2.7", 25)] = true
		sessions[w.open(t, "2001:db8:0:700::8", 143)] = true
		sessions[w.open(t, "192.0.2.8", 587)] = false
	}
	bans := append(firewalltest.Bulk(50_000, time.Now()), entry("192.0.2.7/32", maillog.SMTP), entry("2001:db8:0:700::8/128", maillog.SMTP))
	// Some of these many would ban IPv6 clients as well.
	bans = without(bans, netip.MustParsePrefix("2001:db8:0:700::/56"))
	cut(t, s, bans, sessions)
}

// without leaves out the entries that have to do with p, but for single addresses.
func without(all []ban.Entry, p netip.Prefix) (kept []ban.Entry) {
	for _, e := range all {
		if e.Prefix.Bits() == 128 || !p.Overlaps(e.Prefix) {
			kept = append(kept, e)
		}
	}
	return kept
}

func TestNothing(t *testing.T) {
	w := newWorld(t)
	s := newSeverer(t)
	x := w.open(t, "192.0.2.7", 25)
	if res, err := s.Sever(t.Context(), nil); err != nil || res != (sever.Result{}) {
		t.Errorf("no entries: %+v, %v", res, err)
	}
	good := entry("192.0.2.7/32", maillog.SMTP)
	bad := ban.Entry{Prefix: netip.PrefixFrom(netip.MustParseAddr("192.0.2.7"), 24)}
	if _, err := s.Sever(t.Context(), []ban.Entry{good, bad}); !errors.Is(err, firewall.ErrBadEntry) {
		t.Errorf("host bits: err = %v, want ErrBadEntry", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Sever(ctx, []ban.Entry{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
	if !x.lives() {
		t.Error("the session is cut all the same")
	}
	if _, err := sever.New(firewall.Options{}); err == nil {
		t.Error("a Severer without ports")
	}
}

// TestNotPermitted: a thread without CAP_NET_ADMIN is told so, and cuts
// nothing.
func TestNotPermitted(t *testing.T) {
	w := newWorld(t)
	s := newSeverer(t)
	x := w.open(t, "192.0.2.7", 25)
	errs := make(chan error, 3)
	go func() {
		defer close(errs)
		runtime.LockOSThread() // and it ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		if err := unix.Capset(&header, &make([]unix.CapUserData, 2)[0]); err != nil {
			errs <- err
			return
		}
		_, err := sever.New(options)
		errs <- err
		_, err = s.Sever(context.Background(), []ban.Entry{entry("192.0.2.7/32", maillog.SMTP)})
		errs <- err
	}()
	n := 0
	for err := range errs {
		n++
		if !errors.Is(err, firewall.ErrNotPermitted) || !strings.Contains(firewall.Hint(err), "CAP_NET_ADMIN") {
			t.Errorf("err = %v (%s), want ErrNotPermitted", err, firewall.Hint(err))
		}
	}
	if n != 2 || !x.lives() {
		t.Errorf("%d answers, session lives: %v", n, x.lives())
	}
}

// BenchmarkSever looks through 2,000 sessions of honest clients, or destroys
// 100 of them, with 1,000 entries.
func BenchmarkSever(b *testing.B) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur < 5000 {
		b.Skip("too few files may be open")
	}
	w := newWorld(b)
	s := newSeverer(b)
	for range 2000 {
		w.open(b, "192.0.2.8", 25)
	}
	bans := firewalltest.Bulk(1000, time.Now())
	b.Run("look without sockets", func(b *testing.B) {
		o := options
		o.Ports = [maillog.NumDoors][]uint16{{24}}
		s, _ := sever.New(o)
		for b.Loop() {
			if _, err := s.Sever(b.Context(), bans); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("look", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Sever(b.Context(), bans); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cut 100", func(b *testing.B) {
		bans := append(bans, entry("192.0.2.7/32", maillog.SMTP))
		for b.Loop() {
			b.StopTimer()
			var open []session
			for range 100 {
				open = append(open, w.open(b, "192.0.2.7", 25))
			}
			b.StartTimer()
			if res, err := s.Sever(b.Context(), bans); err != nil || res.Destroyed != 100 {
				b.Fatal(res, err)
			}
			b.StopTimer()
			for _, x := range open {
				x.server.Close()
				x.client.Close()
			}
			b.StartTimer()
		}
	})
}
