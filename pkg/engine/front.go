package engine

import (
	"bytes"

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

// NewFront makes a Front of its own, for explaining a log.
func NewFront(rules *rule.Set, o maillog.SourceOptions) *Front {
	f := &Front{rules: rules, joiner: maillog.NewJoiner()}
	f.joiner.Source(0, o)
	return f
}

// Explain reads one line and says which rules it matches and how many
// offences it stands for. ev is filled in; its Kind is KindNone or KindUnknown
// for a line without an event.
func (f *Front) Explain(seq uint64, line []byte, ev *maillog.Event) (rule.Hits, uint32) {
	maillog.Parse(line, ev)
	if ev.Kind == maillog.KindNone && f.rules.HasCustom() {
		maillog.Split(line, ev)
	}
	r := f.read(0, seq, ev)
	f.joiner.Keep()
	return r.hits, r.offences
}

type reading struct {
	event    bool
	late     bool
	at       int64
	hits     rule.Hits
	offences uint32
	session  *maillog.Session
}

func (f *Front) read(src uint32, seq uint64, ev *maillog.Event) (r reading) {
	if ev.Kind == maillog.KindUnknown {
		return r
	}
	custom := ev.Kind == maillog.KindNone
	if custom && len(ev.Message) == 0 {
		return r
	}
	if custom {
		a, hits := f.rules.MatchCustom(ev)
		if hits == (rule.Hits{}) {
			return r
		}
		ev.Kind, ev.Client = maillog.KindCustom, a
		r.hits = hits
	}
	ses := f.joiner.Join(src, seq, f.clock.mark, ev)
	if ev.Kind == maillog.KindNone {
		return r
	}
	r.session = ses
	var ok bool
	r.at, ok = f.clock.accept(ev.Time, ev.PID)
	r.event, r.late = true, !ok
	if !ev.Client.IsValid() {
		return r
	}
	if !custom {
		r.hits = f.rules.Match(ev, ses)
	}
	for _, h := range r.hits {
		if h != nil {
			r.offences = max(r.offences, copies(h, ev))
		}
	}
	return r
}

// copies is how many offences an event stands for at one door.
func copies(h *rule.Hit, ev *maillog.Event) uint32 {
	n := max(ev.Count, 1)
	if h.TimesAuthFailed {
		n *= max(ev.AuthFailed, 1)
	}
	return n
}

// hash is FNV-1a over the lower-cased text, never 0 but for an empty one.
// Mailbox and login names are told apart by it; a collision makes a repeat
// count a quarter, so it errs towards not banning.
func hash(text []byte) uint64 {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return 0
	}
	h := uint64(14695981039346656037)
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		h = (h ^ uint64(c)) * 1099511628211
	}
	return max(h, 1)
}
