//go:build linux

package nftables_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/maillog"
	"golang.org/x/sys/unix"
)

// The numbers of the README, each beside what others do, in one run:
//
//	go test -run '^$' -bench . -benchtime 5x ./pkg/firewall/nftables
const present = 100_000

func apply(b *testing.B, f firewall.Backend, c ban.Change) {
	b.Helper()
	if err := f.Apply(b.Context(), c); err != nil {
		b.Fatal(err)
	}
}

// lines are the entries as elements for nft, one command for each set.
func lines(entries []ban.Entry) string {
	sets := make(map[string][]string)
	for _, e := range entries {
		family := 4
		if e.Prefix.Addr().Is6() {
			family = 6
		}
		set := fmt.Sprintf("%v%d_%d", e.Door, family, e.Prefix.Bits())
		left := time.Until(time.Unix(e.Deadline, 0)).Round(time.Second)
		sets[set] = append(sets[set], fmt.Sprintf("%v timeout %ds", e.Prefix.Addr(), int(left.Seconds())))
	}
	var s strings.Builder
	for set, list := range sets {
		fmt.Fprintf(&s, "add element inet postmoat %s { %s }\n", set, strings.Join(list, ", "))
	}
	return s.String()
}

// Load: 100,000 bans of five lengths, from nothing.
func BenchmarkLoad(b *testing.B) {
	b.Run("postmoat", func(b *testing.B) {
		f := up(b)
		all := firewalltest.Bulk(present, time.Now())
		for b.Loop() {
			apply(b, f, ban.Change{Add: all})
			b.StopTimer()
			apply(b, f, ban.Change{Remove: all})
			b.StartTimer()
		}
	})
	b.Run("nft-f", func(b *testing.B) {
		f := up(b)
		all := firewalltest.Bulk(present, time.Now())
		apply(b, f, ban.Change{Add: all[:100]}) // for the sets
		file := b.TempDir() + "/all"
		if err := os.WriteFile(file, []byte(lines(all)), 0o600); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			b.StopTimer()
			apply(b, f, ban.Change{Remove: all})
			b.StartTimer()
			nft(b, "-f", file)
		}
	})
}

// percentiles reports the time of single steps.
func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "median-µs")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-µs")
	b.ReportMetric(0, "ns/op")
}

// One: a single ban while 100,000 are present. Each round is 1,000 steps.
func BenchmarkOne(b *testing.B) {
	const steps = 1000
	extra := func(i int) ban.Entry {
		a := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		return ban.Entry{Prefix: netip.PrefixFrom(a, 32), Door: maillog.SMTP, Deadline: time.Now().Unix() + 3600}
	}
	for _, test := range []struct {
		name          string
		before, after func(e ban.Entry) ban.Change
		step          func(e ban.Entry) ban.Change
	}{
		{"add", nil,
			func(e ban.Entry) ban.Change { return ban.Change{Remove: []ban.Entry{e}} },
			func(e ban.Entry) ban.Change { return ban.Change{Add: []ban.Entry{e}} }},
		{"refresh",
			func(e ban.Entry) ban.Change { return ban.Change{Add: []ban.Entry{e}} },
			func(e ban.Entry) ban.Change { return ban.Change{Remove: []ban.Entry{e}} },
			func(e ban.Entry) ban.Change { return ban.Change{Refresh: []ban.Entry{e}} }},
		{"remove",
			func(e ban.Entry) ban.Change { return ban.Change{Add: []ban.Entry{e}} }, nil,
			func(e ban.Entry) ban.Change { return ban.Change{Remove: []ban.Entry{e}} }},
	} {
		b.Run(test.name, func(b *testing.B) {
			f := up(b)
			apply(b, f, ban.Change{Add: firewalltest.Bulk(present, time.Now())})
			var took []time.Duration
			for b.Loop() {
				for i := range steps {
					if test.before != nil {
						apply(b, f, test.before(extra(i)))
					}
				}
				for i := range steps {
					c := test.step(extra(i))
					began := time.Now()
					apply(b, f, c)
					took = append(took, time.Since(began))
				}
				for i := range steps {
					if test.after != nil {
						apply(b, f, test.after(extra(i)))
					}
				}
			}
			percentiles(b, took)
		})
	}
	b.Run("nft-process", func(b *testing.B) {
		f := up(b)
		apply(b, f, ban.Change{Add: firewalltest.Bulk(present, time.Now())})
		var took []time.Duration
		for b.Loop() {
			for i := range 20 {
				e := extra(i)
				began := time.Now()
				nft(b, strings.TrimSpace(lines([]ban.Entry{e})))
				took = append(took, time.Since(began))
				apply(b, f, ban.Change{Remove: []ban.Entry{e}})
			}
		}
		percentiles(b, took)
	})
}

// Read: everything, and the counters of 1,000 bans, while 100,000 are present.
func BenchmarkRead(b *testing.B) {
	all := firewalltest.Bulk(present, time.Now())
	b.Run("active", func(b *testing.B) {
		f := up(b)
		apply(b, f, ban.Change{Add: all})
		for b.Loop() {
			if got, err := f.Active(b.Context()); err != nil || len(got) != present {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("counters-1000", func(b *testing.B) {
		f := up(b)
		apply(b, f, ban.Change{Add: all})
		for b.Loop() {
			if _, err := f.Counters(b.Context(), all[:1000]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("check", func(b *testing.B) {
		f := up(b)
		apply(b, f, ban.Change{Add: all})
		for b.Loop() {
			if drift, err := f.Check(b.Context()); err != nil || !drift.OK() {
				b.Fatal(drift, err)
			}
		}
	})
}

// Repair: somebody flushes the whole ruleset; from the end of that to 10,000
// bans back in force, noticed by Watch.
func BenchmarkRepair(b *testing.B) {
	f := up(b)
	all := firewalltest.Bulk(10_000, time.Now())
	apply(b, f, ban.Change{Add: all})
	ctx, cancel := context.WithCancel(b.Context())
	events, done := make(chan firewall.Event), make(chan error)
	go func() { done <- f.Watch(ctx, func(e firewall.Event) { events <- e }) }()
	<-events
	for b.Loop() {
		b.StopTimer()
		nft(b, "flush ruleset")
		b.StartTimer()
		<-events
		if err := f.Setup(ctx, nil); err != nil {
			b.Fatal(err)
		}
		have, err := f.Active(ctx)
		if err != nil {
			b.Fatal(err)
		}
		apply(b, f, firewall.Plan(have, all, time.Now().Unix()))
	}
	cancel()
	<-done
}

// Packet: what a packet to port 25 of a client that is not banned costs while
// bans are present, over an empty chain at the same hook. TCP
// packets with a wrong checksum go through the loopback: the kernel works them
// off inside the call and then throws them away. Rounds are short, so that most
// of them are not interrupted.
func BenchmarkPacket(b *testing.B) {
	for _, test := range []struct {
		name    string
		bans    int
		lengths []int
		clients uint32 // each packet is of one of so many; more are worse for the processor's caches
	}{
		{"no-bans", 0, []int{32}, 1 << 28},
		{"one-length", present, []int{32}, 1 << 28},
		{"five-lengths-1000-clients", present, []int{32, 28, 26, 24, 22}, 1000},
		{"five-lengths", present, []int{32, 28, 26, 24, 22}, 1 << 28},
	} {
		b.Run(test.name, func(b *testing.B) { packetCost(b, test.bans, test.lengths, test.clients) })
	}
}

func packetCost(b *testing.B, bans int, lengths []int, clients uint32) {
	f := up(b)
	all := make([]ban.Entry, bans)
	for i := range all {
		n := 0xf0000000 + uint32(i/len(lengths))<<10 + uint32(i%len(lengths))<<25
		p, _ := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).Prefix(lengths[i%len(lengths)])
		all[i] = ban.Entry{Prefix: p, Door: maillog.SMTP, Deadline: time.Now().Unix() + 3600}
	}
	apply(b, f, ban.Change{Add: all})
	if have, err := f.Active(b.Context()); err != nil || len(have) != bans {
		b.Fatal(len(have), err)
	}
	script(b, `
		table inet empty {
			chain prerouting { type filter hook prerouting priority raw; policy accept; }
		}`)
	b.Cleanup(func() { nft(b, "delete table inet empty") })
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	const packets, rounds = 500, 40
	round := func(port byte) float64 {
		began := time.Now()
		for range packets {
			n := rand.Uint32N(clients) * 2654435761 // spread over all addresses
			packet := [40]byte{0: 0x45, 3: 40, 8: 64, 9: unix.IPPROTO_TCP,
				12: 100 + byte(n>>24)%16, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n), // 100.0.0.0 to 115.255.255.255
				16: 127, 19: 1, 20: 0x80, 23: port, 32: 0x50, 33: 0x02}
			if err := unix.Sendto(fd, packet[:], 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
				b.Fatal(err)
			}
		}
		return float64(time.Since(began)) / packets
	}
	var empty, full, others []float64
	for b.Loop() {
		nft(b, "add table inet postmoat { flags dormant; }; add table inet empty")
		for range rounds {
			empty = append(empty, round(25))
		}
		nft(b, "add table inet postmoat; add table inet empty { flags dormant; }")
		for range rounds {
			full = append(full, round(25))
			others = append(others, round(80))
		}
	}
	median := func(list []float64) float64 {
		slices.Sort(list)
		return list[len(list)/2]
	}
	b.ReportMetric(median(empty), "ns/packet-empty")
	b.ReportMetric(median(full)-median(empty), "ns/packet-extra")
	b.ReportMetric(median(others)-median(empty), "ns/other-port-extra")
	b.ReportMetric(0, "ns/op")
}
