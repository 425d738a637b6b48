//go:build linux

package nftables

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"golang.org/x/sys/unix"
)

// never is the deadline of an entry without one, which only a foreign hand can
// have made: the end of the year 9999.
const never = 253402300799

// dumpTries is how often a dump that others disturb is begun again.
const dumpTries = 8

// Active reads all ban sets back: some 400,000 entries a second.
func (b *Backend) Active(ctx context.Context) ([]firewall.Active, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v, before, err := b.survey()
	if err != nil {
		return nil, explain("read", err)
	}
	all, err := b.active(v.slots)
	if err != nil {
		return nil, explain("read", err)
	}
	if gen, err := b.generation(); err == nil && gen == before {
		b.contents = gen
	}
	return all, nil
}

// active reads the sets of slots.
func (b *Backend) active(slots map[slot]bool) ([]firewall.Active, error) {
	var all []firewall.Active
	for s := range slots {
		held, err := b.dump(s.set())
		if err != nil {
			return nil, fmt.Errorf("set %s: %w", s.set(), err)
		}
		all = slices.Grow(all, len(held))
		for _, h := range held {
			p, ok := s.prefix(h.key[:s.width()])
			if !ok {
				continue
			}
			a := firewall.Active{Counter: firewall.Counter{Present: true, Packets: h.packets, Bytes: h.bytes}}
			a.Prefix, a.Door, a.Deadline = p, s.door, never
			if h.timeout > 0 {
				a.Deadline = h.read.Add(h.expires).Round(time.Second).Unix()
				a.Remaining = max(h.expires-b.o.Now().Sub(h.read), 1) // a large set takes seconds
			}
			a.Until = a.Deadline
			all = append(all, a)
		}
	}
	firewall.Sort(all)
	return all, nil
}

// dump reads one set, again and again until nobody disturbs. While the kernel
// makes the table of a growing set larger, a dump in several parts may show
// elements twice, or leave some out, and does not say so: so it is read until
// two readings have as many.
func (b *Backend) dump(set string) ([]held, error) {
	last := -1
	for range dumpTries {
		var all []held
		var parts int
		var whole bool
		err := b.exchange(func(s *socket) (err error) {
			all, parts, whole, err = s.dump(&b.batch, b.layout.table.Name, set, b.o.Now)
			return err
		})
		if err != nil {
			return nil, err
		}
		slices.SortFunc(all, func(x, y held) int { return bytes.Compare(x.key[:], y.key[:]) })
		all = slices.CompactFunc(all, func(x, y held) bool { return x.key == y.key && x.end == y.end })
		if whole && (parts <= 2 || len(all) == last) { // the end is a part of its own
			return all, nil
		}
		last = len(all)
	}
	return nil, errBusyRuleset
}

// Counters asks the kernel for each entry by its key.
func (b *Backend) Counters(ctx context.Context, entries []ban.Entry) ([]firewall.Counter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	counters := make([]firewall.Counter, 0, len(entries))
	for len(entries) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := b.exchange(func(s *socket) error {
			// Each answer takes a page or two of the receive buffer.
			part := entries[:min(len(entries), max(1, s.recv/16384), 256)]
			entries = entries[len(part):]
			got, err := s.lookup(&b.batch, b.layout.table.Name, part)
			counters = append(counters, got...)
			return err
		})
		if err != nil {
			return nil, explain("read counters", err)
		}
	}
	return counters, nil
}

// held is one element as the kernel shows it.
type held struct {
	key              [16]byte
	end              bool
	timeout, expires time.Duration
	packets, bytes   uint64
	read             time.Time // in a dump
}

// generation asks for that of the ruleset.
func (s *socket) generation() (gen uint32, err error) {
	var t batch
	t.open(subsystem|unix.NFT_MSG_GETGEN, unix.NLM_F_REQUEST, unix.AF_UNSPEC, 0)
	t.close()
	err = s.ask(&t, func(_ uint32, m message) {
		if b := attribute(m.body(), unix.NFTA_GEN_ID); len(b) == 4 {
			gen = binary.BigEndian.Uint32(b)
		}
	})
	if err == nil && gen == 0 {
		err = errors.New("netlink: no generation in the answer")
	}
	return gen, err
}

// ask sends requests that have one answer each, and calls f with the number of
// the request and its answer. The error is one that a request was refused with,
// ENOENT only when there is no other.
func (s *socket) ask(t *batch, f func(i uint32, m message)) error {
	first := s.seq
	t.number(first)
	s.seq += t.count
	if err := s.write(t.b); err != nil {
		return err
	}
	var refused error
	for answered := uint32(0); answered < t.count; {
		_, err := s.read(func(m message) (bool, error) {
			i := m.seq() - first
			if i >= t.count {
				return false, nil
			}
			answered++
			if errno, text, isResult := m.result(); isResult {
				if refused == nil || errors.Is(refused, unix.ENOENT) {
					refused = &kernelError{errno, text}
				}
			} else {
				f(i, m)
			}
			return false, nil
		})
		if err != nil {
			return err
		}
	}
	return refused
}

// lookup asks for entries by their keys. Missing entries, sets and tables are
// all the same.
func (s *socket) lookup(t *batch, table string, entries []ban.Entry) ([]firewall.Counter, error) {
	t.b, t.count = t.b[:0], 0
	for _, e := range entries {
		slot := slotOf(e)
		t.elements(unix.NFT_MSG_GETSETELEM, 0, table, slot.set(), slot.width(), []element{{key: key(e.Prefix)}})
	}
	counters := make([]firewall.Counter, len(entries))
	err := s.ask(t, func(i uint32, m message) {
		for _, h := range elementsOf(m) {
			counters[i] = firewall.Counter{Present: true, Packets: h.packets, Bytes: h.bytes}
		}
	})
	if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	return counters, err
}

// dump reads a set, in parts; not whole: somebody changed the ruleset meanwhile.
func (s *socket) dump(t *batch, table, set string, now func() time.Time) (all []held, parts int, whole bool, err error) {
	t.b, t.count = t.b[:0], 0
	t.elements(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, table, set, 0, nil)
	seq := s.seq
	t.number(seq)
	s.seq++
	if err := s.write(t.b); err != nil {
		return nil, 0, false, err
	}
	whole = true
	for parts = 1; ; parts++ {
		done, err := s.read(func(m message) (bool, error) {
			if m.seq() != seq {
				return false, nil
			}
			if m.flags()&unix.NLM_F_DUMP_INTR != 0 {
				whole = false
			}
			if errno, text, ok := m.result(); ok {
				if errno != 0 {
					return true, &kernelError{errno, text}
				}
				return true, nil
			}
			part := elementsOf(m)
			read := now()
			for i := range part {
				part[i].read = read
			}
			all = append(all, part...)
			return false, nil
		})
		if err != nil || done {
			return all, parts, whole, err
		}
	}
}

// elementsOf are the elements in a message about a set.
func elementsOf(m message) []held {
	var all []held
	for typ, one := range attributes(attribute(m.body(), unix.NFTA_SET_ELEM_LIST_ELEMENTS)) {
		if typ != unix.NFTA_LIST_ELEM {
			continue
		}
		var h held
		for typ, val := range attributes(one) {
			switch typ {
			case unix.NFTA_SET_ELEM_KEY:
				copy(h.key[:], attribute(val, unix.NFTA_DATA_VALUE))
			case unix.NFTA_SET_ELEM_FLAGS:
				h.end = number(val)&unix.NFT_SET_ELEM_INTERVAL_END != 0
			case unix.NFTA_SET_ELEM_TIMEOUT:
				h.timeout = time.Duration(number(val)) * time.Millisecond
			case unix.NFTA_SET_ELEM_EXPIRATION:
				h.expires = time.Duration(number(val)) * time.Millisecond
			case unix.NFTA_SET_ELEM_EXPR:
				counter := attribute(val, unix.NFTA_EXPR_DATA)
				h.packets = number(attribute(counter, unix.NFTA_COUNTER_PACKETS))
				h.bytes = number(attribute(counter, unix.NFTA_COUNTER_BYTES))
			}
		}
		all = append(all, h)
	}
	return all
}

// number is a number of 4 or 8 bytes, 0 when it is none.
func number(b []byte) uint64 {
	switch len(b) {
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	return 0
}
