package vector

import (
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEdge: nothing is read behind the capacity of a slice. Behind it there is no memory.
func TestEdge(t *testing.T) {
	size := os.Getpagesize()
	pages, err := unix.Mmap(-1, 0, 2*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(pages)
	if err := unix.Mprotect(pages[size:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 7))
	for _, letters := range []string{"0", "a0[", "a0.[", "a0.]", "01.", "a"} {
		for range 20_000 {
			n := width // as much as Peer needs
			if r.IntN(4) == 0 {
				n = 1 + r.IntN(80)
			}
			b := pages[size-n : size : size]
			for i := range b {
				b[i] = letters[r.IntN(len(letters))]
			}
			if name := r.IntN(50); r.IntN(2) == 0 && name < n { // an address that may go on to the end
				for i := range name {
					b[i] = 'a'
				}
				b[name] = '['
			}
			i := r.IntN(n)
			Peer(b, 0)
			Peer(b, i)
			Stop(b, i)
			if m := min(n-i, width); !Alike(b, i, b, i, m) {
				t.Fatalf("%q is not like itself", b[i:i+m])
			}
		}
	}
}
