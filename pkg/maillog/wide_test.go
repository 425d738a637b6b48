package maillog

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tests of words are held against the tables and the loops that say the
// same of one byte.
func TestWordMarks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		var b [8]byte
		for i := range b {
			b[i] = byte(r.Uint32())
			if r.IntN(2) == 0 {
				b[i] = "azAZ09.-_/@[`{:';<> \"f\x7f\xff"[r.IntN(24)]
			}
		}
		w := load(b[:], 0)
		c := b[r.IntN(8)]
		name, alnum, digit, same := noName(w), noAlnum(w), noDigit(w^'0'*each), equal(w, c)
		for i, x := range b {
			marked := func(m uint64) bool { return m>>(8*i+7)&1 != 0 }
			if marked(name) == nameByte[x] || marked(alnum) != (idClass[x] == 0) || marked(digit) != (x-'0' > 9) || marked(same) != (x == c) {
				t.Fatalf("%q: byte %d", b, i)
			}
		}
		if rest := (name | alnum | digit | same) &^ uint64(highs); rest != 0 {
			t.Fatalf("%q: marks %x", b, rest)
		}
	}
}

func TestQuad(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	good := 0
	for range 300_000 {
		b := []byte("[")
		for k := range 4 {
			n := r.IntN(260)
			if r.IntN(3) == 0 {
				n = r.IntN(12)
			}
			b = strconv.AppendInt(b, int64(n), 10)
			b = append(b, "...]"[k])
		}
		for range r.IntN(2) {
			b[r.IntN(len(b))] = "0.]:a 19"[r.IntN(8)]
		}
		b = append(b, "]: 450 4.1.1 <x>"[:r.IntN(17)]...)
		b = bytes.Clone(b)[:len(b):len(b)]
		want, n := scan4(b[1:])
		if n > 0 && (1+n >= len(b) || b[1+n] != ']') {
			n = 0
		}
		v, m := quad(b, 1, ']')
		if m != n || n > 0 && [4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)} != want {
			t.Fatalf("%q: %x of %d, want %v of %d", b, v, m, want, n)
		}
		// The same behind other text, with any or nothing behind it.
		before := "connect from mail.example.com"[r.IntN(26):]
		b = append([]byte(before), b...)
		b = b[:len(b):len(b)]
		v, m = quad(b, len(before)+1, ']')
		if m != n || n > 0 && [4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)} != want {
			t.Fatalf("%q: %x of %d, want %v of %d", b, v, m, want, n)
		}
		if n > 0 {
			good++
		}
	}
	if good < 100_000 {
		t.Fatalf("only %d addresses", good)
	}
}

func TestWordScans(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100_000 {
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = "aaaaaaaaaaab0.=<> \"!?,rip"[r.IntN(25)]
		}
		if r.IntN(2) == 0 {
			i := r.IntN(len(b) + 1)
			b = append(b[:i:i], append([]byte(", rip="), b[i:]...)...)
		}
		if got, want := lastRip(b), bytes.LastIndex(b, []byte(", rip=")); got != want {
			t.Fatalf("last rip of %q: %d, want %d", b, got, want)
		}
		end := r.IntN(len(b) + 1)
		if got, want := stopBefore(b, end), bytes.LastIndexAny(b[:end], "<> \""); got != want {
			t.Fatalf("stop of %q: %d, want %d", b[:end], got, want)
		}
		n := 0
		for n < len(b) && nameByte[b[n]] {
			n++
		}
		if got := nameLen(b); got != n {
			t.Fatalf("name in %q: %d, want %d", b, got, n)
		}
	}
	for range 100_000 {
		n := r.Uint32N(100_000_000)
		s := strconv.Itoa(int(n))
		if got := decimal(load([]byte(s+"]: connect"), 0)^'0'*each, len(s)); got != n {
			t.Fatalf("%d, want %d", got, n)
		}
	}
}

// The quick path reads an envelope as the general one does.
func TestQuickIsAfterStamp(t *testing.T) {
	some := 0
	for _, c := range corpusLines(t) {
		if len(c.text) < 17 || c.text[15] != ' ' {
			continue
		}
		b := trimEnd(c.text)
		var quickly, slowly Event
		if stamp3164(b, &quickly.Stamp) != 15 {
			continue
		}
		slowly.Stamp, quickly.line, slowly.line = quickly.Stamp, b, b
		p, ok := quick(b[15:], &quickly)
		if !ok {
			continue
		}
		some++
		if !afterStamp(b[15:], &slowly, false) || p != programOf(slowly.Text(Tag)) ||
			string(slowly.Text(Host)) != string(quickly.Text(Host)) || string(slowly.Text(Tag)) != string(quickly.Text(Tag)) ||
			slowly.PID != quickly.PID || string(slowly.Text(Message)) != string(quickly.Text(Message)) {
			t.Errorf("%q: %+v, want %+v", b, quickly, slowly)
		}
	}
	if some < 100 {
		t.Errorf("only %d lines", some)
	}
}

// TestQueueIDs holds queueID against its definition, on what is and what nearly is
// one.
func TestQueueIDs(t *testing.T) {
	is := func(id string) bool {
		hex, alnum, digit := true, true, false
		for _, c := range []byte(id) {
			hex = hex && (c >= '0' && c <= '9' || c >= 'A' && c <= 'F')
			alnum = alnum && (c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z')
			digit = digit || c >= '0' && c <= '9' || c == 'z'
		}
		return len(id) >= 6 && hex || len(id) >= 10 && alnum && digit
	}
	r := rand.New(rand.NewPCG(5, 6))
	good, bad := 0, 0
	for range 300_000 {
		letters := []string{"0123456789ABCDEF", "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz", "bcdfghjklm", "3Cz-:. \xff"}[r.IntN(4)]
		id := make([]byte, r.IntN(22))
		for i := range id {
			id[i] = letters[r.IntN(len(letters))]
		}
		if r.IntN(4) == 0 && len(id) > 0 {
			id[r.IntN(len(id))] = byte(r.Uint32())
		}
		rest := []string{": client=x[192.0.2.1]", ": ", ":", "", ":x", " : "}[r.IntN(6)]
		b := append(slices.Clone(id), rest...)
		got, behind, ok := queueID(b)
		want, after, found := strings.Cut(string(b), ":")
		found = found && strings.HasPrefix(after, " ") && is(want)
		if ok != found || ok && (string(got) != want || string(behind) != after[1:]) {
			t.Fatalf("%q: %q, %q, %v", b, got, behind, ok)
		}
		if ok {
			good++
		} else {
			bad++
		}
	}
	if good < 10_000 || bad < 10_000 {
		t.Errorf("%d good, %d bad", good, bad)
	}
}
