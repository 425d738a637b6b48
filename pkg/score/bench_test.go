package score

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpu is the processor time of this process so far: on a machine with others
// on it the clock tells little.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchClass() Class {
	return Class{
		Rules:   []string{"unknown-recipients"},
		Weights: []Weight{{0, 2 * Unit, true}, {1, 2 * Unit, true}, {2, 2 * Unit, true}},
	}
}

// BenchmarkDistinct scores 10 million clients, one offence each, at 10,000 a
// second, with the default windows: expected, as by the reader of a log that has
// found the offences of the next lines already, and alone.
func BenchmarkDistinct(b *testing.B) {
	b.Run("expected", func(b *testing.B) { distinct(b, 32) })
	b.Run("alone", func(b *testing.B) { distinct(b, 0) })
}

func distinct(b *testing.B, ahead int) {
	const clients = 10_000_000
	// A walk over all addresses with a large odd stride: no address twice.
	at := func(i int) netip.Addr { return host4(uint32(i) * 0x9e3779b1) }
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		before := heap()
		t := NewTable(Options{Windows: defaults(), MaxClients: 2 * clients, Late: 120}, NewGood(0))
		c := t.Class(benchClass())
		b.StartTimer()
		start := cpu(b)
		for i := range clients {
			if ahead > 0 && i%ahead == 0 {
				for j := range ahead {
					t.Expect(at(i + j))
				}
			}
			a := at(i)
			t.Add(Offence{Time: epoch + int64(i/10_000), Key: netip.PrefixFrom(a, 32), Client: a, Class: c, Value: uint64(i), Count: 1})
		}
		used += cpu(b) - start
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
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N)/clients, "cpu-ns/offence")
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

// BenchmarkMessage notes messages of 3,000 clients that come again and again,
// 50 a second.
func BenchmarkMessage(b *testing.B) {
	g := NewGood(0)
	NewTable(Options{Windows: defaults()}, g)
	r := rand.New(rand.NewPCG(1, 2))
	clients := make([]netip.Addr, 3000)
	for i := range clients {
		clients[i] = host4(r.Uint32())
	}
	i := 0
	for b.Loop() {
		g.Message(clients[r.IntN(len(clients))], epoch+int64(i/50), 1)
		i++
	}
}

// BenchmarkStranger asks for clients without a record, of whom 3,000 have one.
func BenchmarkStranger(b *testing.B) {
	g := NewGood(0)
	for day := range int64(3) {
		for i := range uint32(3000) {
			g.Message(host4(i*1_000_003), epoch+day*daySecs, 3)
			g.Message(host6(0x20010db8_00000000+uint64(i), 1), epoch+day*daySecs, 3)
			g.Login(host4(i*1_000_003), epoch+day*daySecs, 1, uint64(i+1))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	addr := func() netip.Addr { return host4(r.Uint32()) }
	at := int64(epoch + 3*daySecs)
	for name, ask := range map[string]func(){
		"Known":    func() { g.Known(addr()) },
		"Factor":   func() { g.Factor(addr()) },
		"AnyIn":    func() { g.AnyIn(netip.PrefixFrom(host6(0x20010db8_00000000+uint64(r.Uint32N(100_000)), 0), 64)) },
		"LoggedIn": func() { g.LoggedIn(addr(), uint64(r.Uint32()), at) },
		"Offended": func() { g.Offended(host4(r.Uint32N(3000)), at) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ask()
			}
		})
	}
}

// BenchmarkLogin notes logins of 1,000 users, each from 12 addresses.
func BenchmarkLogin(b *testing.B) {
	g := NewGood(0)
	r := rand.New(rand.NewPCG(1, 2))
	i := 0
	for b.Loop() {
		user := r.Uint32N(1000)
		g.Login(host4(user<<8+r.Uint32N(12)), epoch+int64(i/50), 1, uint64(user)+1)
		i++
	}
}
