//go:build linux

package iptables_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
)

const many = 100_000

// BenchmarkLoad is 100,000 bans from nothing.
func BenchmarkLoad(b *testing.B) {
	nft.need(b)
	f := nft.up(b)
	ctx := context.Background()
	all := firewalltest.Bulk(many, time.Now())
	for b.Loop() {
		apply(b, f, ban.Change{Add: all})
		b.StopTimer()
		if err := f.Teardown(ctx); err != nil {
			b.Fatal(err)
		}
		if err := f.Setup(ctx, nil); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkOneMore is one ban when 100,000 are there.
func BenchmarkOneMore(b *testing.B) {
	nft.need(b)
	f := nft.up(b)
	apply(b, f, ban.Change{Add: firewalltest.Bulk(many, time.Now())})
	i := 0
	for b.Loop() {
		i++
		a := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		apply(b, f, ban.Change{Add: []ban.Entry{{Prefix: netip.PrefixFrom(a, 32), Deadline: time.Now().Unix() + 3600}}})
	}
}

// BenchmarkActive reads 100,000 back, BenchmarkCheck compares cheaply.
func BenchmarkActive(b *testing.B) {
	nft.need(b)
	f := nft.up(b)
	apply(b, f, ban.Change{Add: firewalltest.Bulk(many, time.Now())})
	for b.Loop() {
		if all, err := f.Active(context.Background()); err != nil || len(all) != many {
			b.Fatal(len(all), err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	nft.need(b)
	f := nft.up(b)
	apply(b, f, ban.Change{Add: firewalltest.Bulk(many, time.Now())})
	for b.Loop() {
		if d, err := f.Check(context.Background()); err != nil || !d.OK() {
			b.Fatal(d, err)
		}
	}
}

func apply(b *testing.B, f firewall.Backend, c ban.Change) {
	b.Helper()
	if err := f.Apply(context.Background(), c); err != nil {
		b.Fatal(err)
	}
}
