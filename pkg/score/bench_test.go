package score

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
)

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func benchClass() Class {
	return Class{
		Rules:   []string{"unknown-recipients"},
		Weights: []Weight{{0, 2 * Unit, true}, {1, 2 * Unit, true}, {2, 2 * Unit, true}},
	}
}

// BenchmarkDistinct scores 10 million clients, one offence each, at 10,000 a
// second, with the default windows.
func BenchmarkDistinct(b *testing.B) {
	const clients = 10_000_000
	for b.Loop() {
		b.StopTimer()
		before := heap()
		t := NewTable(Options{Windows: defaults(), MaxClients: 2 * clients, Late: 120}, NewGood(0))
		c := t.Class(benchClass())
		b.StartTimer()
		// A walk over all addresses with a large odd stride: no address twice.
		at := uint32(1)
		for i := range clients {
			at += 0x9e3779b1
			a := host4(at)
			t.Add(Offence{Time: epoch + int64(i/10_000), Key: netip.PrefixFrom(a, 32), Client: a, Class: c, Value: uint64(i), Count: 1})
		}
		b.StopTimer()
		if t.Len() != clients {
			b.Fatalf("%d clients held, want %d", t.Len(), clients)
		}
		b.ReportMetric(float64(heap()-before)/clients, "B/client")
		runtime.KeepAlive(t)
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/clients, "ns/offence")
}

// BenchmarkHot scores 4 million offences of a fixed population at 1,000 a
// second.
func BenchmarkHot(b *testing.B) {
	for _, clients := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			const offences = 4_000_000
			r := rand.New(rand.NewPCG(1, 2))
			keys := make([]netip.Prefix, clients)
			for i := range keys {
				keys[i] = netip.PrefixFrom(host4(r.Uint32()), 32)
			}
			order := make([]uint32, offences)
			for i := range order {
				order[i] = uint32(r.IntN(clients))
			}
			fired := 0
			for b.Loop() {
				t := NewTable(Options{Windows: defaults(), Late: 120, MaxClients: 2 * clients}, NewGood(0))
				c := t.Class(benchClass())
				for i, x := range order {
					k := keys[x]
					fired += len(t.Add(Offence{Time: epoch + int64(i/1000), Key: k, Client: k.Addr(), Class: c, Value: uint64(i), Count: 1}))
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/offences, "ns/offence")
			b.ReportMetric(float64(fired)/float64(b.N), "fired")
		})
	}
}

// BenchmarkFull scores new clients in a table that is full.
func BenchmarkFull(b *testing.B) {
	t := NewTable(Options{Windows: defaults(), MaxClients: 1_000_000, Late: 120}, NewGood(0))
	c := t.Class(benchClass())
	at, i := uint32(0), 0
	next := func() {
		at += 0x9e3779b1
		t.Add(Offence{Time: epoch + int64(i/1000), Key: netip.PrefixFrom(host4(at), 32), Class: c, Count: 1})
		i++
	}
	for range 1_100_000 {
		next()
	}
	for b.Loop() {
		next()
	}
}

// BenchmarkOffended notes offences of 1 million clients without a record.
func BenchmarkOffended(b *testing.B) {
	g := NewGood(0)
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		g.Offended(host4(r.Uint32N(1_000_000)*4001), epoch)
	}
}
