package maillog

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/wire"
)

// Encode writes all that j remembers but for the options of its sources,
// straight from its memory. The same state gives the same bytes.
func (j *Joiner) Encode(w *wire.Writer) {
	j.Keep()
	w.Uint(j.serial)
	encodeSessions(w, j.sessions)
	encodeSessions(w, j.screens)
	begin(w, j.messages)
	j.messages.each(func(k key, m *message) {
		k.encode(w)
		m.Session.encode(w)
		w.Addr(m.Client)
		w.Int(m.Time)
		w.Uint(m.Serial)
		w.Bool(m.Refused)
	})
	begin(w, j.hosts)
	j.hosts.each(func(k key, summary *bool) {
		k.encode(w)
		w.Bool(*summary)
	})
	for _, id := range slices.Sorted(maps.Keys(j.sources)) {
		if l := &j.sources[id].last; l.valid {
			w.Bool(true)
			w.Fixed32(id)
			w.Uint(l.seq)
			w.Fixed32(l.pid)
			w.Bytes(l.text[:l.host])
			w.Bytes(l.text[l.host : l.host+l.tag])
			w.Bytes(l.text[l.host+l.tag:])
		}
	}
	w.Bool(false)
}

// begin writes the head of a table. Its entries follow, the oldest first.
func begin[V any](w *wire.Writer, t *table[V]) {
	w.Uint(t.evicted)
	w.Uint(uint64(t.len))
}

func (k key) encode(w *wire.Writer) {
	w.Fixed64(k.a)
	w.Fixed64(k.b)
}

func encodeSessions(w *wire.Writer, t *table[Session]) {
	begin(w, t)
	t.each(func(k key, s *Session) {
		k.encode(w)
		for _, m := range s.Marks {
			w.Uint(m)
		}
		w.Addr(s.Client)
		w.Uint(s.Serial)
		w.Uint(uint64(s.Failed))
		w.Uint(uint64(s.Rejected))
		w.Bool(s.LoggedIn)
		w.Bool(s.Early)
	})
}

// Decode makes j remember what Encode wrote, and nothing else; the options of
// its sources stay. On an error j is as before.
func (j *Joiner) Decode(r *wire.Reader) error {
	n := NewJoiner()
	n.serial = r.Uint()
	session := func(k key) Session { return decodeSession(r, n.serial) }
	decodeTable(r, n.sessions, session)
	decodeTable(r, n.screens, session)
	decodeTable(r, n.messages, func(key) message {
		m := message{
			Session: decodeKey(r), Client: r.Addr(), Time: r.Int(), Serial: r.Uint(), Refused: r.Bool(),
		}
		if !plainAddr(m.Client) || m.Serial == 0 || m.Serial > n.serial {
			r.Fail(errors.New("a queue ID of no such client or session"))
		}
		return m
	})
	decodeTable(r, n.hosts, func(key) bool { return r.Bool() })
	last := decodeLasts(r)
	if err := r.Err(); err != nil {
		return fmt.Errorf("joiner: %w", err)
	}
	n.sources = j.sources
	for _, s := range n.sources {
		s.last.forget()
	}
	for id, l := range last {
		n.source(id).last = l
	}
	*j = *n
	return nil
}

// decodeTable fills an empty table.
func decodeTable[V any](r *wire.Reader, t *table[V], value func(key) V) {
	t.evicted = r.Uint()
	for range r.Len(t.max) {
		k := decodeKey(r)
		v := value(k)
		if _, e := t.find(k); e != 0 {
			r.Fail(errors.New("two entries of one key"))
		}
		if r.Err() != nil {
			return
		}
		*t.put(k) = v
	}
}

func decodeKey(r *wire.Reader) key { return key{r.Fixed64(), r.Fixed64()} }

func decodeSession(r *wire.Reader, serial uint64) Session {
	var s Session
	for i := range s.Marks {
		s.Marks[i] = r.Uint()
	}
	s.Client, s.Serial = r.Addr(), r.Uint()
	s.Failed, s.Rejected = uint32(r.Upto(1<<32-1)), uint32(r.Upto(1<<32-1))
	s.LoggedIn, s.Early = r.Bool(), r.Bool()
	if s.Client.IsValid() && !plainAddr(s.Client) || s.Serial == 0 || s.Serial > serial {
		r.Fail(errors.New("a session of no such client or number"))
	}
	return s
}

// decodeLasts reads the last lines of the sources.
func decodeLasts(r *wire.Reader) map[uint32]lastLine {
	out := map[uint32]lastLine{}
	last := int64(-1)
	for r.Bool() {
		id, l := r.Fixed32(), lastLine{valid: true}
		if int64(id) <= last {
			r.Fail(errors.New("sources are not sorted"))
		}
		last = int64(id)
		l.seq, l.pid = r.Uint(), r.Fixed32()
		host, tag, msg := r.Bytes(maxLastBytes), r.Bytes(maxLastBytes), r.Bytes(maxLastBytes)
		l.host, l.tag, l.text = len(host), len(tag), slices.Concat(host, tag, msg)
		if len(l.text) > maxLastBytes {
			r.Fail(errors.New("the last line of a source is too long"))
		}
		if r.Err() != nil {
			break
		}
		out[id] = l
	}
	return out
}

// plainAddr reports whether a is an address as [Parse] gives it.
func plainAddr(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && !a.Is4In6()
}
