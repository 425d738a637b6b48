package firewalltest

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// The clients, and what they are for.
const (
	banned     = "192.0.2.7"
	neighbour  = "192.0.2.8"
	allowed    = "192.0.2.77"
	other      = "203.0.113.5"
	banned6    = "2001:db8:0:700::7"
	banned6b   = "2001:db8:0:700:ffff::1" // same /64
	neighbour6 = "2001:db8:0:701::7"      // same /56
	allowed6   = "2001:db8:0:777::1"      // same /56
	other6     = "2001:db8:0:800::1"
)

var everybody = []string{banned, neighbour, allowed, other, banned6, banned6b, neighbour6, allowed6, other6}

// Packets runs every test that needs packets. The backend works in the
// namespace of the test (see Main).
func Packets(t *testing.T, s Suite) {
	s.Now, s.Pass = time.Now, time.Sleep
	NeedNamespace(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, Suite, *Net)
	}{
		{"hosts everywhere, their neighbours not", packetHosts},
		{"networks at their own door", packetNets},
		{"allowlist", packetAllow},
		{"an established session is cut", packetSession},
		{"reject", packetReject},
		{"a ban ends on time", packetEnd},
		{"what was broken is healed", packetHeal},
		{"our own connections", packetOwn},
		{"a published port", packetPublished},
		{"no gap while widening and splitting", packetGap},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "reject" && !s.Rejects {
				t.Skip("it cannot reject")
			}
			test.run(t, s, NewNet(t, everybody...))
		})
	}
}

func (s Suite) add(t testing.TB, b firewall.Backend, bans ...ban.Entry) {
	t.Helper()
	must(t, "apply", b.Apply(t.Context(), ban.Change{Add: bans}))
}

func packetHosts(t *testing.T, s Suite, n *Net) {
	b := s.up(t)
	for _, c := range everybody {
		n.Expect(t, c, 25, Through)
	}
	host := s.entry(banned+"/32", maillog.Login, time.Hour)
	host6 := s.entry("2001:db8:0:700::/64", maillog.SMTP, time.Hour)
	s.add(t, b, host, host6)
	for _, port := range []int{25, 587, 143} {
		n.Expect(t, banned, port, Nothing)
		n.Expect(t, banned6, port, Nothing)
		n.Expect(t, banned6b, port, Nothing)
		n.Expect(t, neighbour, port, Through)
		n.Expect(t, neighbour6, port, Through)
	}
	n.Expect(t, banned, 2222, Through)
	n.Expect(t, banned6, 2222, Through)

	counters, err := b.Counters(t.Context(), []ban.Entry{host, host6})
	must(t, "counters", err)
	if counters[0].Packets < 3 || counters[0].Bytes < 3*40 || counters[1].Packets < 6 || counters[1].Bytes < 6*60 {
		t.Errorf("counters = %+v, want the packets that were cut", counters)
	}
	active, err := b.Active(t.Context())
	must(t, "active", err)
	if len(active) != 2 || active[0].Packets < 3 || active[1].Packets < 6 {
		t.Errorf("active = %+v, want the packets that were cut", active)
	}

	must(t, "remove", b.Apply(t.Context(), ban.Change{Remove: []ban.Entry{host, host6}}))
	n.Expect(t, banned, 25, Through)
	n.Expect(t, banned6, 143, Through)
	exact := s.entry(banned6+"/128", maillog.SMTP, time.Hour)
	s.add(t, b, exact)
	n.Expect(t, banned6, 143, Nothing)
	n.Expect(t, banned6b, 25, Through)
}

func packetNets(t *testing.T, s Suite, n *Net) {
	b := s.up(t)
	s.add(t, b, s.entry("192.0.2.0/24", maillog.SMTP, time.Hour), s.entry("2001:db8:0:700::/56", maillog.SMTP, time.Hour))
	for _, c := range []string{banned, neighbour, banned6, banned6b, neighbour6} {
		n.Expect(t, c, 25, Nothing)
		n.Expect(t, c, 143, Through)
		n.Expect(t, c, 587, Through)
	}
	n.Expect(t, other, 25, Through)
	n.Expect(t, other6, 25, Through)
	s.add(t, b, s.entry("203.0.112.0/23", maillog.Login, time.Hour), s.entry("2001:db8:0:800::/63", maillog.Login, time.Hour))
	for _, c := range []string{other, other6} {
		n.Expect(t, c, 25, Through)
		n.Expect(t, c, 143, Nothing)
	}
	// The widest there is: half of all addresses.
	s.add(t, b, s.entry("128.0.0.0/1", maillog.Login, time.Hour), s.entry("::/1", maillog.Login, time.Hour))
	for _, c := range []string{neighbour, other, neighbour6, other6} {
		n.Expect(t, c, 587, Nothing)
		n.Expect(t, c, 2222, Through)
	}
}

func packetAllow(t *testing.T, s Suite, n *Net) {
	allow := []netip.Prefix{netip.MustParsePrefix(allowed + "/32"), netip.MustParsePrefix("2001:db8:0:777::/64")}
	b := s.up(t, allow...)
	s.add(t, b, s.entry("192.0.2.0/24", maillog.SMTP, time.Hour), s.entry("2001:db8:0:700::/56", maillog.SMTP, time.Hour),
		s.entry(allowed+"/32", maillog.SMTP, time.Hour), s.entry(banned+"/32", maillog.SMTP, time.Hour))
	n.Expect(t, allowed, 25, Through)
	n.Expect(t, allowed6, 25, Through)
	n.Expect(t, neighbour, 25, Nothing)
	n.Expect(t, neighbour6, 25, Nothing)
	for range 2 {
		must(t, "allow", b.SetAllow(t.Context(), []netip.Prefix{netip.MustParsePrefix("0.0.0.0/1"), netip.MustParsePrefix("128.0.0.0/1"), netip.MustParsePrefix("2001:db8:0:701::7/128")}))
		n.Expect(t, banned, 25, Through)
		n.Expect(t, allowed, 25, Through)
		n.Expect(t, neighbour6, 25, Through)
		n.Expect(t, allowed6, 25, Nothing)
		must(t, "allow", b.SetAllow(t.Context(), nil))
		n.Expect(t, banned, 25, Nothing)
		n.Expect(t, neighbour6, 25, Nothing)
	}
	must(t, "allow", b.SetAllow(t.Context(), []netip.Prefix{netip.MustParsePrefix("255.255.255.255/32"), netip.MustParsePrefix("192.0.2.8/32"), netip.MustParsePrefix("8000::/1")}))
	n.Expect(t, banned, 25, Nothing)
	n.Expect(t, neighbour, 25, Through)
	n.Expect(t, neighbour6, 25, Nothing)
}

// sessions are one of each family, both of which work.
func sessions(t *testing.T, n *Net, port int) (all [2]func(time.Duration) Verdict) {
	t.Helper()
	for i, client := range []string{banned, banned6} {
		c, err := n.Dial(client, port, patience)
		must(t, "dial", err)
		t.Cleanup(func() { c.Close() })
		all[i] = func(wait time.Duration) Verdict { return echo(c, wait) }
		if got := all[i](patience); got != Through {
			t.Fatalf("a session of %s %s", client, got)
		}
	}
	return all
}

func packetSession(t *testing.T, s Suite, n *Net) {
	b := s.up(t)
	open := sessions(t, n, 143)
	s.add(t, b, s.entry(banned+"/32", maillog.SMTP, time.Hour), s.entry("2001:db8:0:700::/56", maillog.Login, time.Hour))
	for _, say := range open {
		if got := say(impatience); got != Nothing {
			t.Errorf("in its session a banned client %s", got)
		}
	}
}

func packetReject(t *testing.T, s Suite, n *Net) {
	b := s.New(t, firewall.Options{Ports: Ports, Action: firewall.Reject})
	defer b.Close()
	must(t, "setup", b.Setup(t.Context(), nil))
	defer b.Teardown(t.Context())
	open := sessions(t, n, 143)
	s.add(t, b, s.entry(banned+"/32", maillog.SMTP, time.Hour), s.entry("2001:db8:0:700::/56", maillog.Login, time.Hour))
	for _, say := range open {
		if got := say(patience); got != Reset {
			t.Errorf("in its session a banned client %s", got)
		}
	}
	n.Expect(t, banned, 25, Reset)
	n.Expect(t, banned6, 143, Reset)
	n.Expect(t, banned6, 25, Through)
	n.Expect(t, neighbour, 25, Through)
}

func packetEnd(t *testing.T, s Suite, n *Net) {
	b := s.up(t)
	short, short6 := s.entry(banned+"/32", maillog.SMTP, 3*time.Second), s.entry("2001:db8:0:700::/64", maillog.SMTP, 3*time.Second)
	s.add(t, b, short, short6, s.entry(neighbour+"/32", maillog.SMTP, time.Hour))
	n.Expect(t, banned, 25, Nothing)
	n.Expect(t, banned6, 25, Nothing)
	if !s.Deadlines {
		return
	}
	for _, c := range []string{banned, banned6} {
		for n.Try(c, 25, impatience) != Through {
			if late := time.Since(time.Unix(short.Deadline, 0)); late > patience {
				t.Fatalf("%s is still banned after %v", c, late)
			}
		}
		if early := time.Until(time.Unix(short.Deadline, 0)); early > time.Second {
			t.Errorf("the ban of %s ended %v early", c, early)
		}
	}
	n.Expect(t, neighbour, 25, Nothing)
}

func packetHeal(t *testing.T, s Suite, n *Net) {
	for name, damage := range s.Damages {
		t.Run(name, func(t *testing.T) {
			b, m := s.up(t), book{}
			m.apply(t, b, ban.Change{Add: []ban.Entry{
				s.entry(banned+"/32", maillog.SMTP, time.Hour), s.entry("2001:db8:0:700::/56", maillog.SMTP, time.Hour),
			}})
			damage(t, firewall.DefaultOwner)
			repair(t, s, b, m)
			n.Expect(t, banned, 25, Nothing)
			n.Expect(t, banned6, 25, Nothing)
			n.Expect(t, neighbour, 25, Through)
			n.Expect(t, other6, 25, Through)
		})
	}
}

// packetOwn: we deliver to a network that is banned at every port.
func packetOwn(t *testing.T, s Suite, n *Net) {
	b := s.up(t)
	serve(t, n.Clients, ":25")
	s.add(t, b, s.entry(banned+"/32", maillog.SMTP, time.Hour), s.entry("2001:db8:0:700::/56", maillog.SMTP, time.Hour))
	for to, from := range map[string]netip.Addr{banned: server4, banned6: server6} {
		n.Expect(t, to, 25, Nothing)
		c, err := dialFrom(n.Server, from, netip.AddrPortFrom(netip.MustParseAddr(to), 25), patience)
		if err != nil {
			t.Errorf("our own delivery to %s: %v", to, err)
			continue
		}
		if got := echo(c, patience); got != Through {
			t.Errorf("our own delivery to %s: an answer %s", to, got)
		}
		c.Close()
	}
}

// packetPublished: port 465 is that of a container behind the server. A drop in
// the input hook would never see its packets.
func packetPublished(t *testing.T, s Suite, n *Net) {
	NeedTool(t, "nft")
	box := NewNamespace(t)
	n.Server.Run(t, "ip", "link", "add", "box0", "type", "veth", "peer", "name", "eth0", "netns", box.Path())
	t.Cleanup(func() { n.Server.Run(t, "ip", "link", "del", "box0") })
	n.Server.Run(t, "ip", "addr", "add", "198.18.0.1/24", "dev", "box0")
	n.Server.Run(t, "ip", "link", "set", "box0", "up")
	box.Run(t, "ip", "addr", "add", "198.18.0.2/24", "dev", "eth0")
	box.Run(t, "ip", "link", "set", "eth0", "up")
	box.Run(t, "ip", "route", "add", "default", "via", "198.18.0.1")
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		missing(t, err.Error())
	}
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(`table ip published {
		chain published {
			type nat hook prerouting priority -100
			tcp dport 465 dnat to 198.18.0.2:2465
		}
	}
	`)
	if out, err := cmd.CombinedOutput(); err != nil {
		missing(t, "no NAT in this kernel: "+string(out))
	}
	t.Cleanup(func() { n.Server.Run(t, "nft", "delete", "table", "ip", "published") })
	serve(t, box, ":2465")

	b := s.up(t)
	n.Expect(t, banned, 465, Through)
	c, err := n.Dial(banned, 465, patience)
	must(t, "dial", err)
	defer c.Close()
	s.add(t, b, s.entry(banned+"/32", maillog.SMTP, time.Hour))
	n.Expect(t, banned, 465, Nothing)
	if got := echo(c, impatience); got != Nothing {
		t.Errorf("in its session with a container a banned client %s", got)
	}
	n.Expect(t, neighbour, 465, Through)
}

// packetGap: hosts become a network and the network hosts again, over and over.
// A banned client that knocks all the while never gets in, an allowlisted one
// always does.
func packetGap(t *testing.T, s Suite, n *Net) {
	b := s.up(t, netip.MustParsePrefix(allowed+"/32"), netip.MustParsePrefix("2001:db8:0:777::/64"))
	narrow := []ban.Entry{
		s.entry(banned+"/32", maillog.SMTP, time.Hour), s.entry("192.0.2.128/25", maillog.SMTP, time.Hour),
		s.entry("2001:db8:0:700::/64", maillog.SMTP, time.Hour),
	}
	wide := []ban.Entry{s.entry("192.0.2.0/24", maillog.SMTP, time.Hour), s.entry("2001:db8:0:700::/56", maillog.SMTP, time.Hour)}
	s.add(t, b, narrow...)
	n.Expect(t, banned, 25, Nothing)
	n.Expect(t, banned6, 25, Nothing)

	const enoughKnocks, enoughCycles = 400_000, 200
	var crowds [2]*crowd
	var err error
	n.Clients.Do(func() {
		if crowds[0], err = newCrowd(banned, allowed, netip.AddrPortFrom(server4, 25)); err == nil {
			crowds[1], err = newCrowd(banned6, allowed6, netip.AddrPortFrom(server6, 25))
		}
	})
	must(t, "open", err)
	var stop atomic.Bool
	var knocked atomic.Int64
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() && failed == nil {
			for _, c := range crowds {
				failed = errors.Join(failed, c.knock())
				knocked.Add(burst)
			}
		}
	}()
	defer func() {
		stop.Store(true)
		<-done
		crowds[0].close()
		crowds[1].close()
	}()
	cycles := 0
	for ; knocked.Load() < enoughKnocks || cycles < enoughCycles; cycles++ {
		select {
		case <-done:
			t.Fatal(failed)
		default:
		}
		must(t, "widen", b.Apply(t.Context(), ban.Change{Add: wide, Remove: narrow}))
		for i := range wide {
			wide[i].Deadline++ // and refreshed
		}
		must(t, "refresh", b.Apply(t.Context(), ban.Change{Refresh: wide}))
		must(t, "split", b.Apply(t.Context(), ban.Change{Add: narrow, Remove: wide}))
	}
	stop.Store(true)
	<-done
	must(t, "knock", failed)
	for _, c := range crowds {
		if c.answered > 0 {
			t.Errorf("%d of %d knocks of %v were answered", c.answered, c.knocked, c.bad.from)
		}
		t.Logf("%d knocks of %v, %d of %v, in %d cycles", c.knocked, c.bad.from, c.welcome, c.good.from, cycles)
	}
}
