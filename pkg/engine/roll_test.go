package engine

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// TestRoll holds what the roll remembers of a client against what the books
// and the allowlist say, while bans begin, grow and end and the allowlist
// changes, and with more clients than it has seats.
func TestRoll(t *testing.T) {
	e := newEngine(t)
	at := reference
	banned, listed, fresh := 0, 0, 0
	client := func(n int) string { return fmt.Sprintf("198.%d.%d.%d", 51+n>>16&1, n>>8&255, n&255) }
	var owner []netip.Addr // by note
	for n := range 90000 {
		at = at.Add(time.Duration(n%3) * time.Second)
		a := client(n * 7919)
		if n%3 == 0 {
			a = client(n % 20)
		}
		if n == 20000 {
			s := new(prefix.Set)
			s.Insert(netip.MustParsePrefix("198.51.0.0/29"))
			e.SetAllow(s)
		}
		out := e.Feed(0, uint64(n+1), reject(at, a, n))
		if out.Verdict < Neutral || out.Note == nil {
			t.Fatalf("line %d: verdict %d, note %v", n, out.Verdict, out.Note)
		}
		addr := netip.MustParseAddr(a)
		if i := *out.Note; i != 0 && owner[i-1] != addr {
			t.Fatalf("line %d: the note of %v is at %v", n, owner[i-1], addr)
		}
		if *out.Note == 0 {
			fresh++
		}
		owner = append(owner, addr)
		*out.Note = uint32(len(owner))
		s := e.seat(&addr, &Outcome{})
		for d, b := range e.books {
			if s.bans[d] != b.Lookup(addr) {
				t.Fatalf("line %d: ban of %v at door %d: %v, want %v", n, addr, d, s.bans[d], b.Lookup(addr))
			}
			if s.bans[d] != nil {
				banned++
			}
		}
		if e.allowed(s) != e.allow.Contains(addr) {
			t.Fatalf("line %d: %v is allowed: %v", n, addr, e.allowed(s))
		}
		if e.allowed(s) {
			listed++
		}
	}
	if banned == 0 || listed == 0 || fresh < seats {
		t.Errorf("%d times banned, %d times allowed, %d times on a new seat: the test shows nothing", banned, listed, fresh)
	}
}
