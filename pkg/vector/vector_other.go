//go:build !amd64

package vector

import "unsafe"

const fast = false

func alike(a, b unsafe.Pointer, n, _ int) bool {
	return string(unsafe.Slice((*byte)(a), n)) == string(unsafe.Slice((*byte)(b), n))
}

func stop(p unsafe.Pointer, n, _ int) int {
	for i, c := range unsafe.Slice((*byte)(p), min(n, width)) {
		if c &^= 2; c == '<' || c == ' ' {
			return i
		}
	}
	return width
}

// It is not called.
func peer(p unsafe.Pointer, t *[81]quad) (name, all int, addr uint32) { return 0, 0, 0 }
