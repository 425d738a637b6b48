package maillog

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/wire"
)

// This file shows a Joiner as a plain value, and writes such values as a state
// by itself, so that tests can compare states and write those that Encode
// never would.

// A JoinerState is all that a [Joiner] remembers but for the options of its
// sources. Sources are sorted by ID; the other slices stand by age,
// the oldest first.
type JoinerState struct {
	Serial                           uint64
	SessionsOut, ScreensOut, MailOut uint64 // evicted
	HostsOut                         uint64
	Sources                          []SourceState
	Sessions, Screens                []SessionState
	Messages                         []MessageState
	Hosts                            []HostState
}

// A SourceState is the last event of a source, as text; Seq is the number of
// its line.
type SourceState struct {
	ID        uint32
	Seq       uint64
	PID       uint32
	Host, Tag []byte
	Message   []byte
}

// A SessionState is one session under its hashed name.
type SessionState struct {
	Key key
	Session
}

// A MessageState is one queue ID under its hashed name.
type MessageState struct {
	Key, Session key
	Client       netip.Addr
	Time         int64
	Serial       uint64
	Refused      bool
}

// A HostState is whether the latest disconnect of a host had a summary.
type HostState struct {
	Key     key
	Summary bool
}

// State returns a copy of what j remembers.
func (j *Joiner) State() JoinerState {
	j.Keep()
	st := JoinerState{
		Serial:      j.serial,
		SessionsOut: j.sessions.evicted, ScreensOut: j.screens.evicted,
		MailOut: j.messages.evicted, HostsOut: j.hosts.evicted,
		Sessions: sessionStates(j.sessions), Screens: sessionStates(j.screens),
	}
	for id, s := range j.sources {
		if l := &s.last; l.valid {
			st.Sources = append(st.Sources, SourceState{
				ID: id, Seq: l.seq, PID: l.pid, Host: bytes.Clone(l.text[:l.host]),
				Tag: bytes.Clone(l.text[l.host:][:l.tag]), Message: bytes.Clone(l.text[l.host+l.tag:]),
			})
		}
	}
	slices.SortFunc(st.Sources, func(a, b SourceState) int { return int(int64(a.ID) - int64(b.ID)) })
	j.messages.each(func(k key, m *message) {
		st.Messages = append(st.Messages, MessageState{
			Key: k, Session: m.Session, Client: m.Client, Time: m.Time,
			Serial: m.Serial, Refused: m.Refused,
		})
	})
	j.hosts.each(func(k key, v *bool) { st.Hosts = append(st.Hosts, HostState{Key: k, Summary: *v}) })
	return st
}

func sessionStates(t *table[Session]) []SessionState {
	var out []SessionState
	t.each(func(k key, s *Session) { out = append(out, SessionState{Key: k, Session: *s}) })
	return out
}

// Restore decodes st as an Encode that does not look would have written it.
func (j *Joiner) Restore(st JoinerState) error {
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	w.Uint(st.Serial)
	key := func(k key) {
		w.Fixed64(k.a)
		w.Fixed64(k.b)
	}
	addr := func(a netip.Addr) {
		if a.Zone() != "" { // has no form
			w.Uint(99)
			return
		}
		w.Addr(a)
	}
	sessions := func(out uint64, in []SessionState) {
		w.Uint(out)
		w.Uint(uint64(len(in)))
		for _, s := range in {
			key(s.Key)
			for _, m := range s.Marks {
				w.Uint(m)
			}
			addr(s.Client)
			w.Uint(s.Serial)
			w.Uint(uint64(s.Failed))
			w.Uint(uint64(s.Rejected))
			w.Bool(s.LoggedIn)
			w.Bool(s.Early)
		}
	}
	sessions(st.SessionsOut, st.Sessions)
	sessions(st.ScreensOut, st.Screens)
	w.Uint(st.MailOut)
	w.Uint(uint64(len(st.Messages)))
	for _, m := range st.Messages {
		key(m.Key)
		key(m.Session)
		addr(m.Client)
		w.Int(m.Time)
		w.Uint(m.Serial)
		w.Bool(m.Refused)
	}
	w.Uint(st.HostsOut)
	w.Uint(uint64(len(st.Hosts)))
	for _, h := range st.Hosts {
		key(h.Key)
		w.Bool(h.Summary)
	}
	for _, s := range st.Sources {
		w.Bool(true)
		w.Fixed32(s.ID)
		w.Uint(s.Seq)
		w.Fixed32(s.PID)
		w.Bytes(s.Host)
		w.Bytes(s.Tag)
		w.Bytes(s.Message)
	}
	w.Bool(false)
	if err := w.Close(); err != nil {
		return err
	}
	return j.Decode(wire.NewReader(&b))
}
