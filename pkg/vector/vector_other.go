//go:build !amd64

package vector

import "unsafe"

const fast = false

// These are not called.
func alike(a, b unsafe.Pointer, n int) bool                           { return false }
func stops(p unsafe.Pointer) uint64                                   { return 0 }
func peer(p unsafe.Pointer, t *[81]quad) (name, all int, addr uint32) { return 0, 0, 0 }
