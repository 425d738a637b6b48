package engine

import (
	"math/rand/v2"
	"testing"
)

// TestHash: names are the same but for the case of ASCII letters and blanks around
// them. The values were computed by other means; they are in saved states.
func TestHash(t *testing.T) {
	for text, want := range map[string]uint64{
		"a":                   0x8c5f08a0305982d3,
		"info@example.org":    0xf11d7a792d012339,
		"Nobody7@EXAMPLE.net": 0x61836fdc3f164ba3,
		"jörg@x.example":      0xa0261b617f616a7e,
	} {
		if got := hash([]byte(text)); got != want {
			t.Errorf("hash(%q) = %#x, want %#x", text, got, want)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	const letters = "aAbZz@[`{.-09\x00\x89\xc1\xda"
	seen := map[uint64]string{}
	for range 200_000 {
		text := make([]byte, 1+r.IntN(40))
		name := make([]byte, len(text))
		for i := range text {
			text[i] = letters[r.IntN(len(letters))]
			name[i] = text[i]
			if 'A' <= name[i] && name[i] <= 'Z' {
				name[i] += 'a' - 'A'
			}
		}
		h := hash(text)
		if was, ok := seen[h]; ok && was != string(name) {
			t.Fatalf("%q and %q have one hash", was, name)
		}
		seen[h] = string(name)
		if again := hash(append([]byte(" \t"), append(name, ' ')...)); again != h || h == 0 {
			t.Fatalf("%q: %#x, in lower case and with blanks %#x", text, h, again)
		}
	}
	if hash(nil) != 0 || hash([]byte(" \t ")) != 0 {
		t.Error("nothing has a hash")
	}
}
