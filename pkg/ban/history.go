package ban

import (
	"cmp"
	"net/netip"
	"slices"
)

// maxHistory is how many clients that were banned are remembered, those whose
// ban ended last: about 20 MB when full.
const maxHistory = 1 << 17

// A Past is what is remembered of a client that was banned.
type Past struct {
	Key   netip.Prefix
	Level int   // of its last ban
	End   int64 // of its last ban
}

// A history is the memory of former bans, by member key.
type history struct {
	memory int64
	past   map[netip.Prefix]mark
	oldest queue[struct{}]
}

type mark struct {
	level int
	end   int64
}

func (h *history) init(memory int64) {
	h.memory = memory
	h.past = map[netip.Prefix]mark{}
	h.oldest = queue[struct{}]{live: func(x item[struct{}]) bool {
		m, ok := h.past[x.key]
		return ok && m.end == x.at
	}}
}

// add remembers a ban that ended.
func (h *history) add(key netip.Prefix, level int, end int64) {
	h.past[key] = mark{level, end}
	h.oldest.push(end, key, struct{}{}, len(h.past))
	for {
		x, ok := h.oldest.first()
		if !ok || len(h.past) <= maxHistory && end-x.at <= h.memory {
			return
		}
		h.oldest.pop()
		delete(h.past, x.key)
	}
}

// forget forgives everything inside p.
func (h *history) forget(p netip.Prefix) {
	if p.IsSingleIP() {
		delete(h.past, p)
		return
	}
	for key := range h.past {
		if p.Overlaps(key) && p.Bits() <= key.Bits() {
			delete(h.past, key)
		}
	}
}

// level is that of a ban that begins now.
func (h *history) level(key netip.Prefix, now int64, top int) int {
	m, ok := h.past[key]
	if !ok || now-m.end > h.memory {
		return 0
	}
	return min(max(m.level+1-int(max(now-m.end, 0)/quiet), 0), top)
}

func (h *history) state() []Past {
	all := make([]Past, 0, len(h.past))
	for key, m := range h.past {
		all = append(all, Past{key, m.level, m.end})
	}
	slices.SortFunc(all, func(a, b Past) int { return cmp.Or(a.Key.Compare(b.Key), cmp.Compare(a.End, b.End)) })
	return all
}
