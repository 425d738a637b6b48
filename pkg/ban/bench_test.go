package ban

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/score"
)

// real are the defaults of the configuration.
var real = Options{
	Time: 3600, Max: 168 * 3600, Memory: 30 * 86400, Parole: 86400,
	Cover4: cover.Options{Price: 128, Rungs: []cover.Rung{{Bits: 24, Need: 3}, {Bits: 22, Need: 9}}},
	Cover6: cover.Options{Price: 4096, Rungs: []cover.Rung{{Bits: 56, Need: 3}, {Bits: 48, Need: 20}}},
}

func randomAddr(r *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(1 + r.IntN(200)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
}

// A bench adds offenders to a book one after the other, 28 a second: with bans
// of an hour it has 100,000 of them from then on, running out as fast as they
// come.
type bench struct {
	book *Book
	r    *rand.Rand
	now  int64
	n    int
}

func (x *bench) add() {
	if x.n++; x.n%28 == 0 {
		x.now++
	}
	if x.n%100 == 0 {
		x.book.Flush()
		x.book.Ended()
	}
	x.book.Offend(x.now, []Offender{{Key: prefix.Host(randomAddr(x.r)), LastOffence: x.now}})
}

func full() *bench {
	x := &bench{
		book: NewBook(maillog.SMTP, real, new(prefix.Set), score.NewGood(0), NewBreaker(100000, 3)),
		r:    rand.New(rand.NewPCG(1, 2)), now: 1_800_000_000,
	}
	for range 28 * 3700 {
		x.add()
	}
	return x
}

func BenchmarkLookup(b *testing.B) {
	x := full()
	var inside, outside []netip.Addr
	for _, y := range x.book.Bans()[:64] {
		inside, outside = append(inside, y.Prefix.Addr()), append(outside, randomAddr(x.r))
	}
	for _, run := range []struct {
		name  string
		addrs []netip.Addr
	}{{"banned", inside}, {"not", outside}} {
		b.Run(run.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				x.book.Lookup(run.addrs[i%64])
			}
		})
	}
}

func BenchmarkOffend(b *testing.B) {
	x := full()
	b.ReportAllocs()
	for b.Loop() {
		x.add()
	}
	b.ReportMetric(float64(x.book.Len()), "bans")
}
