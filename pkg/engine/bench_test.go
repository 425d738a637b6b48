package engine

import (
	"bytes"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// cpu is the processor time of this process so far: on a machine with others
// on it the clock tells little.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSnapshot writes and reads the state of an engine that keeps a
// million clients with evidence and 50,000 bans. B/op is what is allocated on
// the way: of Encode all of it is given back.
func BenchmarkSnapshot(b *testing.B) {
	const clients, bans = 1_000_000, 50_000
	o := Options{
		Rules: testRules(b), Windows: windows, Clients: clients,
		Ban: ban.Options{
			Time: 3600, Max: 604800, Memory: 2592000, Parole: 86400, Budget: 2 * bans,
			Cover4: cover.Options{Price: 128, Rungs: []cover.Rung{{Bits: 24, Need: 3}, {Bits: 22, Need: 9}}},
			Cover6: cover.Options{Price: 4096, Rungs: []cover.Rung{{Bits: 56, Need: 3}, {Bits: 48, Need: 20}}},
		},
		AddressesPerMinute: 100000, KnownGood: 3,
	}
	fresh := func() *Engine {
		e := New(o)
		e.Source(0, maillog.SourceOptions{Location: time.UTC, Reference: reference.Unix()})
		return e
	}
	e := fresh()
	seq := 0
	at := uint32(1)
	for i := range clients + bans {
		at += 0x9e3779b1 // no address twice
		a := netip.AddrFrom4([4]byte{byte(at >> 24), byte(at >> 16), byte(at >> 8), byte(at)}).String()
		lines := 1
		if i >= clients {
			lines = 5 // that makes an offender
		}
		for range lines {
			seq++
			e.Feed(0, uint64(seq), reject(reference.Add(time.Duration(seq)*time.Millisecond), a, seq))
		}
		if seq%1000 == 0 {
			e.Flush()
		}
	}
	e.Flush()
	if n, m := e.tables[0].Len(), e.books[0].Len(); n < clients*99/100 || m < bans*99/100 {
		b.Fatalf("%d clients and %d bans: too few", n, m)
	}
	var state bytes.Buffer
	if err := e.Encode(&state); err != nil {
		b.Fatal(err)
	}
	b.Run("Encode", func(b *testing.B) {
		b.ReportAllocs()
		start := cpu(b)
		for b.Loop() {
			if err := e.Encode(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64((cpu(b)-start).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		b.ReportMetric(float64(state.Len())/1e6, "MB-written")
	})
	b.Run("Restore", func(b *testing.B) {
		b.ReportAllocs()
		var used time.Duration
		for b.Loop() {
			b.StopTimer()
			n := fresh()
			b.StartTimer()
			start := cpu(b)
			if err := n.Restore(bytes.NewReader(state.Bytes())); err != nil {
				b.Fatal(err)
			}
			used += cpu(b) - start
		}
		b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms/op")
	})
}
