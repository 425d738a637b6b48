//go:build !amd64

package vector

import "unsafe"

const fast = false

func alike(a, b unsafe.Pointer, n, room int) bool {
	return n <= room && string(unsafe.Slice((*byte)(a), n)) == string(unsafe.Slice((*byte)(b), n))
}

// These are not called.
func stops(p unsafe.Pointer) uint64                                   { return 0 }
func peer(p unsafe.Pointer, t *[81]quad) (name, all int, addr uint32) { return 0, 0, 0 }
