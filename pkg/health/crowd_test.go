package health

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

var gateway = netip.MustParseAddr("192.0.2.1")

// client is one of many.
func client(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 51, 100, byte(n)})
}

func TestCrowd(t *testing.T) {
	var c Crowd
	window := func(share int) {
		for i := range 1000 {
			if i < share {
				c.Add(gateway)
			} else {
				c.Add(client(i))
			}
		}
	}
	for i := range 999 {
		c.Add(gateway)
		if _, _, ok := c.Alarm(); ok {
			t.Fatalf("an alarm after %d connections", i+1)
		}
	}
	c.Add(netip.Addr{})
	if _, _, ok := c.Alarm(); ok {
		t.Fatal("what is no address was counted")
	}
	c.Add(netip.MustParseAddr("::ffff:192.0.2.1"))
	if addr, share, ok := c.Alarm(); addr != gateway || share != 1 || !ok {
		t.Errorf("all the same: %v, %v, %v", addr, share, ok)
	}
	window(500)
	if addr, share, ok := c.Alarm(); ok || addr.IsValid() || share != 0 {
		t.Errorf("half: %v, %v, %v; want no alarm", addr, share, ok)
	}
	window(501)
	if addr, share, ok := c.Alarm(); addr != gateway || share != 0.501 || !ok {
		t.Errorf("501 of 1000: %v, %v, %v", addr, share, ok)
	}
	for range 999 {
		c.Add(client(1))
	}
	if addr, _, ok := c.Alarm(); addr != gateway || !ok {
		t.Error("the alarm of the last full window has to stay until the next is full")
	}
}

// Mail that a content filter gives back over loopback is no client's: however
// much of it, there is no proxy in front; nor does it hide one.
func TestCrowdLeavesOutLoopback(t *testing.T) {
	var c Crowd
	for i := range 3000 {
		c.Add(netip.MustParseAddr("127.0.0.1"))
		c.Add(netip.MustParseAddr("::1"))
		c.Add(netip.MustParseAddr("::ffff:127.0.0.1"))
		c.Add(client(i))
	}
	if addr, _, ok := c.Alarm(); ok {
		t.Errorf("an alarm for %s", addr)
	}
	for range 1000 {
		c.Add(netip.MustParseAddr("127.0.0.1"))
		c.Add(gateway)
	}
	if addr, share, ok := c.Alarm(); addr != gateway || share <= 0.5 || !ok {
		t.Errorf("behind a filter: %v, %v, %v; want an alarm for the gateway", addr, share, ok)
	}
}

// TestCrowdTwin compares with counting every address in a map.
func TestCrowdTwin(t *testing.T) {
	alarms := 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 4))
		var c Crowd
		kinds := 1 + r.IntN(5)
		for range 3 {
			count := map[netip.Addr]int{}
			chance := 35 + r.IntN(30) // per cent
			for range 1000 {
				a := client(1 + r.IntN(kinds))
				if r.IntN(100) < chance {
					a = gateway
				}
				count[a]++
				c.Add(a)
			}
			var want netip.Addr
			for a, n := range count {
				if n > 500 {
					want = a
				}
			}
			addr, share, ok := c.Alarm()
			if addr != want || ok != want.IsValid() || share != float64(count[want])/1000 {
				t.Fatalf("seed %d: %v, %v, %v; want %v with %d", seed, addr, share, ok, want, count[want])
			}
			if ok {
				alarms++
			}
		}
	}
	if alarms < 20 || alarms > 100 {
		t.Errorf("%d alarms in 120 windows: the test is lopsided", alarms)
	}
}
