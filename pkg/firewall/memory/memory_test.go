package memory_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/firewall/memory"
	"github.com/postmoat/postmoat/pkg/maillog"
)

func TestSuite(t *testing.T) {
	now := time.Date(2026, 7, 14, 1, 2, 3, 0, time.UTC)
	firewalltest.Run(t, firewalltest.Suite{
		New: func(t testing.TB, o firewall.Options) firewall.Backend {
			b, err := memory.New(o)
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Deadlines: true,
		Now:       func() time.Time { return now },
		Pass:      func(d time.Duration) { now = now.Add(d) },
	})
}

// TestCuts is the rule of the doors: a host everywhere, a network at its own
// door, the allowlist first, other ports never.
func TestCuts(t *testing.T) {
	now := time.Date(2026, 7, 14, 1, 2, 3, 0, time.UTC)
	b, err := memory.New(firewall.Options{Ports: firewalltest.Ports, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Setup(t.Context(), []netip.Prefix{netip.MustParsePrefix("198.51.100.128/25")}); err != nil {
		t.Fatal(err)
	}
	var c ban.Change
	for prefix, door := range map[string]maillog.Door{
		"192.0.2.1/32": maillog.Login, "198.51.100.0/24": maillog.SMTP,
		"2001:db8:1::/64": maillog.Login, "2001:db8:2::/63": maillog.Login,
	} {
		c.Add = append(c.Add, ban.Entry{Prefix: netip.MustParsePrefix(prefix), Door: door, Deadline: now.Unix() + 60})
	}
	if err := b.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		client string
		port   uint16
		want   bool
	}{
		{"192.0.2.1", 25, true},
		{"192.0.2.1", 993, true},
		{"192.0.2.1", 22, false},
		{"192.0.2.2", 25, false},
		{"198.51.100.1", 25, true},
		{"198.51.100.1", 993, false},
		{"198.51.100.129", 25, false},
		{"2001:db8:1::77", 25, true},
		{"2001:db8:1::77", 993, true},
		{"2001:db8:2::77", 25, false},
		{"2001:db8:2::77", 993, true},
	} {
		if got := b.Cuts(netip.MustParseAddr(test.client), test.port); got != test.want {
			t.Errorf("Cuts(%s, %d) = %v, want %v", test.client, test.port, got, test.want)
		}
	}
	now = now.Add(time.Minute)
	if b.Cuts(netip.MustParseAddr("192.0.2.1"), 25) {
		t.Error("a ban did not end")
	}
}
