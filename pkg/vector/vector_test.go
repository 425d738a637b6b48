package vector

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// text is n bytes of few kinds at random places of memory that ends, as far as
// its capacity says, behind them or up to 80 bytes on.
func text(r *rand.Rand, n int) ([]byte, int) {
	i, more := r.IntN(70), r.IntN(80)
	b := make([]byte, i+n+more)
	for k := range b {
		if b[k] = "abcdefgh.-_0123456789@=?!#;:,'/|^~\x1e\x1c\x3d\x7c\x9c\xbc\xa0\xff\x00"[r.IntN(41)]; r.IntN(40) == 0 {
			b[k] = "<> \""[r.IntN(4)]
		}
	}
	return b[: i+n : len(b)], i
}

func TestAlike(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	same := 0
	for range 200_000 {
		n := 1 + r.IntN(64)
		a, i := text(r, n)
		b, j := text(r, n)
		if r.IntN(2) == 0 {
			copy(b[j:], a[i:])
			if r.IntN(2) == 0 {
				b[j+r.IntN(n)] ^= 1 << r.IntN(8)
			}
		}
		want := string(a[i:i+n]) == string(b[j:j+n])
		if got := Alike(a, i, b, j, n); got != want {
			t.Fatalf("%q and %q: %v", a[i:i+n], b[j:j+n], got)
		}
		var text [width]byte
		copy(text[:], b[j:])
		if got := Begins(a, i, &text, n); got != want {
			t.Fatalf("%q and %q: %v", a[i:i+n], text[:n], got)
		}
		if want {
			same++
		}
	}
	if same < 40_000 {
		t.Errorf("only %d alike", same)
	}
}

func TestStop(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	near := 0
	for range 200_000 {
		b, i := text(r, 1+r.IntN(100))
		want := bytes.IndexAny(b[i:min(len(b), i+64)], "<> \"")
		if want < 0 {
			want = 64
		} else {
			near++
		}
		if got := Stop(b, i); got != want {
			t.Fatalf("%q: %d, want %d", b[i:], got, want)
		}
	}
	if near < 40_000 {
		t.Errorf("only %d with a stop", near)
	}
}

// slowPeer is Peer by definition: with a regular expression and package netip.
func slowPeer(b []byte) (name, all int, addr uint32) {
	m := peerForm.FindSubmatch(b)
	if m == nil || len(m[1]) > 47 {
		return 0, 0, 0
	}
	a, err := netip.ParseAddr(string(m[2]))
	if err != nil || !a.Is4() {
		return 0, 0, 0
	}
	v := a.As4()
	return len(m[1]), len(m[0]), binary.BigEndian.Uint32(v[:])
}

var peerForm = regexp.MustCompile(`^([A-Za-z0-9._-]+)\[([0-9.]+)\]`)

func TestPeer(t *testing.T) {
	if !fast {
		t.Skip("not for this processor")
	}
	r := rand.New(rand.NewPCG(5, 6))
	good := 0
	for n := range 400_000 {
		b := make([]byte, r.IntN(40), 200)
		i := len(b)
		if r.IntN(2) == 0 {
			b = append(b, "unknown"...)
		} else {
			for range r.IntN(50) {
				b = append(b, "abcxyzABCXYZ0189._-noOpP"[r.IntN(24)])
			}
		}
		b = append(b, '[')
		for k := range 4 {
			x := r.IntN(260)
			if r.IntN(3) == 0 {
				x = r.IntN(12)
			}
			b = append(strconv.AppendInt(b, int64(x), 10), "...]"[k])
		}
		if n%4 == 0 {
			odd := "0.[]:/@`{^ \x00\xff,19a"
			b[i+r.IntN(len(b)-i)] = odd[r.IntN(len(odd))]
		}
		b = append(b, ": 450 4.1.1 <x.1.2.3.4]"[:r.IntN(23)]...)
		if n%5 == 0 {
			b = b[:i+r.IntN(len(b)-i)]
		}
		name, all, addr := slowPeer(b[i:])
		if i > cap(b)-width {
			t.Fatal("no room")
		}
		if gotName, gotAll, got := Peer(b, i); gotName != name || gotAll != all || got != addr {
			t.Fatalf("%q: %d, %d, %x, want %d, %d, %x", b[i:], gotName, gotAll, got, name, all, addr)
		}
		if len(b) < i+width {
			if _, all, _ := Peer(b[:len(b):i+width-1], i); all != 0 {
				t.Fatalf("%q: read where 64 bytes are not there", b[i:])
			}
		}
		if all > 0 {
			good++
		}
	}
	if good < 100_000 {
		t.Errorf("only %d good", good)
	}
	// Each byte in a name, and in the address.
	for c := range 256 {
		for at := range 20 {
			b := append(make([]byte, 0, 100), "mail.a[192.0.2.10]: "...)
			b[at] = byte(c)
			name, all, addr := slowPeer(b)
			if gotName, gotAll, got := Peer(b, 0); gotName != name || gotAll != all || got != addr {
				t.Fatalf("%q: %d, %d, %x, want %d, %d, %x", b, gotName, gotAll, got, name, all, addr)
			}
		}
	}
	// Each number, with any zeros in front.
	for x := range 1000 {
		for at := range 4 {
			for _, form := range []string{"%d", "%02d", "%03d", "%04d"} {
				parts := []string{"1", "22", "133", "0"}
				parts[at] = fmt.Sprintf(form, x)
				b := append(make([]byte, 0, 100), "a["+strings.Join(parts, ".")+"]"...)
				name, all, addr := slowPeer(b)
				if gotName, gotAll, got := Peer(b, 0); gotName != name || gotAll != all || got != addr {
					t.Fatalf("%q: %d, %d, %x, want %d, %d, %x", b, gotName, gotAll, got, name, all, addr)
				}
			}
		}
	}
}

// TestSlow: processors without the instructions give the same answers.
func TestSlow(t *testing.T) {
	if !fast {
		t.Skip("this is such a processor: the other tests were about it")
	}
	disable(t)
	TestAlike(t)
	TestStop(t)
}
