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

// full is a book of n bans of single clients.
func full(n int) (*Book, *rand.Rand) {
	r := rand.New(rand.NewPCG(1, 2))
	b := NewBook(maillog.SMTP, real, new(prefix.Set), score.NewGood(0), NewBreaker(100000, 3))
	for b.Len() < n {
		b.Offend(1_800_000_000, []Offender{{Key: prefix.Host(randomAddr(r)), LastOffence: 1_800_000_000}})
	}
	b.Flush()
	b.Ended()
	return b, r
}

func BenchmarkLookup(b *testing.B) {
	book, r := full(100_000)
	addrs := make([]netip.Addr, 4096)
	for i := range addrs {
		addrs[i] = randomAddr(r)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		book.Lookup(addrs[i%len(addrs)])
		i++
	}
}

// An offender in a book of 100,000 bans; each hundred the change is taken, and
// bans run out as fast as they come.
func BenchmarkOffend(b *testing.B) {
	book, r := full(100_000)
	now := int64(1_800_000_000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i%100 == 0 {
			book.Flush()
			book.Ended()
		}
		if i%28 == 0 {
			now++
		}
		book.Offend(now, []Offender{{Key: prefix.Host(randomAddr(r)), LastOffence: now}})
		i++
	}
}
