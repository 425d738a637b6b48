package engine

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
)

// A Front is the stateless-to-stateful half of the engine that explain shares
// with it: joins events in order, keeps the scoring clock and matches the
// rules, but scores nothing.
type Front struct {
	rules  *rule.Set
	joiner *maillog.Joiner
	clock  clock
}

// NewFront makes a Front of its own, for explaining a log. horizon is that of
// [Engine.Horizon].
func NewFront(rules *rule.Set, o maillog.SourceOptions, horizon int64) *Front {
	f := &Front{rules: rules, joiner: maillog.NewJoiner(), clock: clock{horizon: horizon}}
	f.joiner.Source(0, o)
	return f
}

// Explain reads one line and says which rules count it and how many offences
// it stands for. all are the rules that it matches, also those that count once
// a session and have counted. ev is filled in; its Kind is at most KindUnknown
// for a line without an event.
func (f *Front) Explain(seq uint64, line []byte, ev *maillog.Event) (hits, all rule.Hits, n uint32) {
	maillog.Parse(line, ev)
	if ev.Kind == maillog.KindNone && f.rules.HasCustom() {
		maillog.Split(line, ev)
	}
	var out Outcome
	if ev.Kind > maillog.KindUnknown || f.custom(ev, &out) {
		ses := f.joiner.Join(0, seq, f.clock.mark, ev)
		if ev.Kind != maillog.KindNone {
			f.clock.accept(ev.Time, ev.PID)
			f.match(ev, ses, &out)
		}
		f.joiner.Keep()
	}
	all = out.Hits
	if ev.Client.IsValid() && f.rules.Asks(ev) {
		all = f.rules.Match(ev, nil)
	}
	return out.Hits, all, out.Offences
}

// match fills in Offences of out and, but for an event that custom has made,
// Hits; they are zero.
func (f *Front) match(ev *maillog.Event, ses *maillog.Session, out *Outcome) {
	switch {
	case ev.Kind == maillog.KindCustom:
	case ev.Client.IsValid():
		out.Hits = f.rules.Match(ev, ses)
	default:
		return
	}
	for d := range out.Hits {
		if h := out.Hits[d]; h != nil {
			out.Offences = max(out.Offences, copies(h, ev))
		}
	}
}

// custom says whether a line without a grammar matches a rule with a pattern
// of its own, and makes it an event then.
func (f *Front) custom(ev *maillog.Event, out *Outcome) bool {
	if ev.Kind != maillog.KindNone || len(ev.Text(maillog.Message)) == 0 {
		return false
	}
	a, hits := f.rules.MatchCustom(ev)
	if hits == (rule.Hits{}) {
		return false
	}
	ev.Kind, ev.Client = maillog.KindCustom, a
	out.Hits = hits
	return true
}

// copies is how many offences an event stands for at one door.
func copies(h *rule.Hit, ev *maillog.Event) uint32 {
	n := max(ev.Count, 1)
	if h.TimesAuthFailed {
		n *= max(ev.AuthFailed, 1)
	}
	return n
}

// hash is one of the text in lower case, never 0 but for an empty one. Mailbox
// and login names are told apart by it; a collision makes a repeat count a
// quarter, so it errs towards not banning. It must not change: hashes are part of
// the saved state.
func hash(text []byte) uint64 {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return 0
	}
	h := uint64(len(text)) * 0xd6e8feb86659fd93
	for len(text) >= 8 {
		h = fold(h, binary.LittleEndian.Uint64(text))
		text = text[8:]
	}
	var w uint64
	for i, c := range text {
		w |= uint64(c) << (8 * i)
	}
	return max(fold(h, w), 1)
}

// fold mixes eight bytes, in lower case, into a hash.
func fold(h, w uint64) uint64 {
	const each = 0x0101010101010101
	x := w & (0x7f * each)
	upper := (x + (0x80-'A')*each) &^ (x + (0x7f-'Z')*each) &^ w & (0x80 * each)
	hi, lo := bits.Mul64(h^(w|upper>>2)^0x6a09e667f3bcc908, 0x9e3779b97f4a7c15)
	return hi ^ lo
}
