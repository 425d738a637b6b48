//go:build linux

package nftables

import (
	"slices"
	"sync"
)

// ports are the netlink ports of our last sockets: notices of changes name the
// port they came from. (The process they name is a thread, numbered as in the
// first pid namespace, so it tells a person who it was, but not us.)
type ports struct {
	mu   sync.Mutex
	list []uint32
}

// keptPorts is for how many sockets notices may still be under way.
const keptPorts = 32

func (p *ports) add(port uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, port)
	if len(p.list) > keptPorts {
		p.list = slices.Delete(p.list, 0, 1)
	}
}

func (p *ports) ours(port uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.list, port)
}
