//go:build linux

package nftables

import (
	"net/netip"

	"github.com/postmoat/postmoat/pkg/ban"
	"golang.org/x/sys/unix"
)

// splits says whether a change puts narrow entries, or those of another door,
// in the place of one that is as wide or wider. The other way needs no wait: the
// rules ask for the narrow first, so who has found none of them asks for the
// wide one later.
func splits(c ban.Change) bool {
	if len(c.Remove) == 0 || len(c.Add)+len(c.Refresh) == 0 {
		return false
	}
	goes := make(map[netip.Prefix]bool, len(c.Remove))
	var lengths [129]bool
	for _, e := range c.Remove {
		goes[e.Prefix] = true
		lengths[e.Prefix.Bits()] = true
	}
	for _, list := range [][]ban.Entry{c.Add, c.Refresh} {
		for _, e := range list {
			for bits := 1; bits <= e.Prefix.Bits(); bits++ {
				if !lengths[bits] {
					continue
				}
				if p, err := e.Prefix.Addr().Prefix(bits); err == nil && goes[p] {
					return true
				}
			}
		}
	}
	return false
}

// membarrierGlobal is MEMBARRIER_CMD_GLOBAL of linux/membarrier.h.
const membarrierGlobal = 1

// quiesce waits until each packet that is being looked at has passed: some ten
// milliseconds. A packet is looked at under the kernel's read lock (RCU) from its
// first rule to its last, and that is what this barrier waits for. Kernels that
// have none (nohz_full) go on at once.
func quiesce() {
	_, _, _ = unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0)
}
