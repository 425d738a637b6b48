package pf_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
	"github.com/postmoat/postmoat/pkg/maillog"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// TestStates: sessions of newly banned clients end; those of their neighbours,
// of the allowlist, and our own deliveries go on.
func TestStates(t *testing.T) {
	in := func(peer string, port uint16) pftest.Conn {
		p := addr(peer)
		local := netip.MustParseAddr("192.0.2.25")
		if p.Addr().Is6() {
			local = netip.MustParseAddr("2001:db8::25")
		}
		return pftest.Conn{In: true, Local: netip.AddrPortFrom(local, port), Peer: p}
	}
	out := pftest.Conn{Local: addr("192.0.2.25:4000"), Peer: addr("198.51.100.7:25")}
	jailed := pftest.Conn{In: true, Local: addr("10.0.0.2:2525"), Outer: addr("192.0.2.25:25"), Peer: addr("198.51.100.8:1")}
	all := []pftest.Conn{
		out, jailed, in("198.51.100.7:1", 25), in("198.51.100.7:2", 22), in("198.51.100.9:1", 993), in("198.51.100.10:1", 25),
		in("203.0.113.1:1", 25), in("[2001:db8:7::1]:1", 587), in("[2001:db8:7:1::1]:1", 25),
	}
	for _, test := range []struct {
		name string
		bans map[string]maillog.Door
		many int // hosts more, without states
		left []int
	}{
		{"a host: all it has opened", map[string]maillog.Door{"198.51.100.7/32": maillog.Login}, 0, []int{0, 1, 4, 5, 6, 7, 8}},
		{"a host on the allowlist", map[string]maillog.Door{"198.51.100.10/32": maillog.SMTP}, 0, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"a /64", map[string]maillog.Door{"2001:db8:7::/64": maillog.SMTP}, 0, []int{0, 1, 2, 3, 4, 5, 6, 8}},
		{"a network at its door", map[string]maillog.Door{"198.51.100.0/24": maillog.SMTP}, 0, []int{0, 4, 5, 6, 7, 8}},
		{"a network at the other door", map[string]maillog.Door{"198.51.100.0/24": maillog.Login}, 0, []int{0, 1, 2, 3, 5, 6, 7, 8}},
		{"many", map[string]maillog.Door{"203.0.113.1/32": maillog.SMTP, "2001:db8:7::/48": maillog.SMTP}, 500, []int{0, 1, 2, 3, 4, 5, 7}},
	} {
		for _, flavour := range pftest.Flavours {
			t.Run(test.name+"/"+string(flavour), func(t *testing.T) {
				w, b, now := host(t, flavour, "198.51.100.10/32")
				w.Change(func(s *pftest.State) { s.States = all })
				var c ban.Change
				for p, door := range test.bans {
					c.Add = append(c.Add, entry(p, door, now.Add(time.Hour)))
				}
				for i := range test.many {
					c.Add = append(c.Add, entry(fmt.Sprintf("192.0.%d.%d/32", 3+i/250, i%250), maillog.SMTP, now.Add(time.Hour)))
				}
				w.Forget()
				must(t, b.Apply(t.Context(), c))
				var want []pftest.Conn
				for _, i := range test.left {
					want = append(want, all[i])
				}
				if got := w.State().States; !slices.Equal(got, want) {
					t.Errorf("left %v\nwant %v", got, want)
				}
				if got := b.Cut(); got.States != uint64(len(all)-len(want)) || got.Failed != 0 || got.Err != nil {
					t.Errorf("cut: %+v", got)
				}
				if n := len(w.Calls()); n > 10 {
					t.Errorf("%d runs", n)
				}
				// What is banned already is not looked at again.
				w.Forget()
				must(t, b.Apply(t.Context(), ban.Change{Refresh: c.Add}))
				for _, call := range w.Calls() {
					if call.Args[0] == "-k" || call.Args[0] == "-s" {
						t.Errorf("refresh: pfctl %q", call.Args)
					}
				}
			})
		}
	}
}
