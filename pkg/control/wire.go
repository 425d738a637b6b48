package control

import (
	"net/netip"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/report"
	"github.com/postmoat/postmoat/pkg/score"
)

// A Ban is a running ban: what a report says of it, and how it stands.
type Ban struct {
	report.Ban
	// Until is null of a ban by hand that has no end.
	Until *time.Time `json:"until"`
	// Remaining is in seconds; null of one that has no end.
	Remaining *int64 `json:"remaining"`
	Knocks    uint64 `json:"knocks"`
	State     string `json:"state"` // see [daemon.Held]
	Pinned    bool   `json:"pinned"`
	Because   string `json:"because"`
}

// An Allowed is an entry of the allowlist.
type Allowed struct {
	Prefix string     `json:"prefix"`
	Kind   string     `json:"kind"`
	Origin string     `json:"origin"`
	Until  *time.Time `json:"until,omitempty"`
}

// An Allowlist is the allowlist in force.
type Allowlist struct {
	Entries  []Allowed `json:"entries"`
	Problems []string  `json:"problems"`
	// BanNothing and NoWidening say what follows from the problems.
	BanNothing bool `json:"ban_nothing"`
	NoWidening bool `json:"no_widening"`
}

// An Explanation is all that is known of an address.
type Explanation struct {
	Address   string       `json:"address"`
	Now       time.Time    `json:"now"`
	Bans      []Ban        `json:"bans"`
	Allowed   []Allowed    `json:"allowed"`
	KnownGood *time.Time   `json:"known_good,omitempty"` // since when
	Messages  float64      `json:"messages"`             // good evidence, decayed
	Standing  []Standing   `json:"standing"`
	Past      []report.Ban `json:"past"` // newest first
}

// A Standing is how close an address, or its network, is to a limit.
type Standing struct {
	Door     string     `json:"door"`
	Window   string     `json:"window"`
	Span     int64      `json:"span"` // seconds
	Client   string     `json:"client"`
	Score    float64    `json:"score"`
	Limit    float64    `json:"limit"`
	Events   int        `json:"events"`
	Accepted int        `json:"accepted,omitempty"` // recipients of accepted messages, where the window has a share
	Clients  int        `json:"clients,omitempty"`  // that take part, where the window counts networks
	Evidence []Evidence `json:"evidence"`           // by time, the newest [MaxEvidence]
}

// MaxEvidence is how many events a [Standing] shows.
const MaxEvidence = 200

// Evidence is an event that counts.
type Evidence struct {
	Time   time.Time `json:"time"`
	Client string    `json:"client"`
	Rules  []string  `json:"rules"`
	Weight float64   `json:"weight"`
	Count  int       `json:"count"`
}

// A BanRequest is the body of POST /v1/ban. Seconds 0: until it is lifted.
type BanRequest struct {
	Prefix  string   `json:"prefix"`
	Seconds int64    `json:"for,omitempty"`
	Because string   `json:"because,omitempty"`
	Force   bool     `json:"force,omitempty"`
	Peers   []string `json:"peers,omitempty"` // addresses that must not be cut off
}

// An UnbanRequest is the body of POST /v1/unban: a prefix, or all.
type UnbanRequest struct {
	Prefix string `json:"prefix,omitempty"`
	All    bool   `json:"all,omitempty"`
	// Seconds is how long the prefix stays on the allowlist. nil: an hour, 0:
	// not at all. It is not for All.
	Seconds *int64 `json:"for,omitempty"`
}

// An AllowRequest is the body of POST /v1/allow/add. Seconds 0: until it is
// removed.
type AllowRequest struct {
	Prefix  string `json:"prefix"`
	Seconds int64  `json:"for,omitempty"`
	Persist bool   `json:"persist,omitempty"` // keep it over restarts
	Because string `json:"because,omitempty"`
}

// A PrefixRequest is the body of POST /v1/allow/remove.
type PrefixRequest struct {
	Prefix string `json:"prefix"`
}

// Reloaded is the answer to POST /v1/reload: what changed, in lines that begin
// with + or -, and what needs a restart, with !.
type Reloaded struct {
	Changes []string `json:"changes"`
}

// Health is the answer to GET /healthz. Its status is 200 if healthy, else 503.
type Health struct {
	Healthy bool           `json:"healthy"`
	Phase   string         `json:"phase"`
	Alarms  []daemon.Alarm `json:"alarms"`
}

// problem is the answer to a request that did not succeed.
type problem struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

func fromHeld(h *daemon.Held, now time.Time) Ban {
	b := Ban{
		Ban: report.FromBan(&h.Ban), Knocks: h.Knocks, State: h.State,
		Pinned: h.Pinned, Because: h.Because,
	}
	if h.Until != ban.Forever {
		until := b.Ban.Until
		left := max(h.Until-now.Unix(), 0)
		b.Until, b.Remaining = &until, &left
	}
	return b
}

func fromEntries(entries []allow.Entry) []Allowed {
	out := make([]Allowed, 0, len(entries))
	for _, e := range entries {
		a := Allowed{Prefix: e.Prefix.String(), Kind: e.Kind.String(), Origin: e.Origin}
		if e.Until != 0 {
			until := stamp(e.Until)
			a.Until = &until
		}
		out = append(out, a)
	}
	return out
}

// FromList turns an allowlist into its form in the API.
func FromList(l *allow.List) Allowlist {
	a := Allowlist{Entries: fromEntries(l.Entries()), Problems: []string{}, BanNothing: l.BanNothing(), NoWidening: l.NoWidening()}
	for _, p := range l.Problems() {
		a.Problems = append(a.Problems, p.String())
	}
	return a
}

func fromExplanation(x *daemon.Explanation) Explanation {
	e := Explanation{
		Address: x.Addr.String(), Now: x.Now.UTC(), Bans: []Ban{}, Allowed: fromEntries(x.Allowed),
		Messages: x.Messages, Standing: []Standing{}, Past: []report.Ban{},
	}
	for i := range x.Bans {
		e.Bans = append(e.Bans, fromHeld(&x.Bans[i], x.Now))
	}
	if !x.KnownGood.IsZero() {
		since := x.KnownGood.UTC()
		e.KnownGood = &since
	}
	for i := range x.Standing {
		e.Standing = append(e.Standing, fromStanding(&x.Standing[i]))
	}
	for i := range x.Past {
		e.Past = append(e.Past, report.FromSpell(&x.Past[i]))
	}
	return e
}

func fromStanding(x *daemon.DoorStanding) Standing {
	s := Standing{
		Door: x.Door.String(), Window: x.Window, Span: int64(x.Span / time.Second), Client: show(x.Key),
		Score: weight(x.Units), Limit: weight(x.Limit), Events: x.Count,
		Accepted: x.Accepted, Clients: x.Clients, Evidence: []Evidence{},
	}
	for _, ev := range x.Standing.Events[max(0, len(x.Standing.Events)-MaxEvidence):] {
		rules := ev.Rules
		if rules == nil {
			rules = []string{}
		}
		s.Evidence = append(s.Evidence, Evidence{
			Time: stamp(ev.Time), Client: show(ev.Client), Rules: rules, Weight: weight(ev.Units), Count: ev.Count,
		})
	}
	return s
}

func weight(units int) float64 { return float64(units) / score.Unit }

func stamp(t int64) time.Time { return time.Unix(t, 0).UTC() }

// show is how a key is written: a host without its length.
func show(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return ""
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}
