// Package rule turns the operator's rules into a decision table: which events
// are an offence, how heavy, in which windows and at which door.
//
// The package is pure: rules come in as plain [Spec] values (package config
// reads them from YAML) and are compiled once; matching an event costs the
// same however many rules there are.
package rule

import (
	"fmt"
	"net/netip"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// A Pos says where something was written.
type Pos struct {
	File string
	Line int // 0: not known
}

func (p Pos) String() string {
	switch {
	case p.File == "":
		return "rule"
	case p.Line == 0:
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// A Spec is one rule as written. Nothing in it is checked before [Compile].
type Spec struct {
	Name, About string
	Pos         Pos
	// At says where a key of the rule stands, for errors; a key that is not
	// in it stands at Pos.
	At map[string]Pos

	When []Cond // all must hold

	Weight   int      // 1 to 1000, in each of Windows
	Windows  []string // nil: all that are configured
	Per      string   // "", "line" or "session"
	Distinct string   // "", "recipient" or "sasl_user"
	Times    string   // "" or "auth_failed": what multiplies the weight
	Door     string   // "": that of the service that wrote the line; "smtp", "login"

	Match, Ignore []Example

	// Builtin marks a rule that is shipped: a window it names that is not
	// configured is left out, where in a rule of the operator it is an error.
	Builtin bool
	// Disabled takes the rule out (enabled: false).
	Disabled bool
}

func (s *Spec) at(key string) Pos {
	if p, ok := s.At[key]; ok {
		return p
	}
	return s.Pos
}

// A Cond is one field of a when: the event's field must have one of Values.
type Cond struct {
	Field  string
	Values []string
	Pos    Pos
}

// An Example is a line of log that a rule must match, or must not.
type Example struct {
	Text string
	Pos  Pos
}

// A Distinct says by what a repeat is told: a value seen already from that
// client inside the window counts a quarter.
type Distinct uint8

// The kinds of Distinct.
const (
	DistinctNone Distinct = iota
	DistinctRecipient
	DistinctSASLUser
)

// A Rule is a compiled rule. It must not be changed.
type Rule struct {
	Name, About string
	Pos         Pos
	Weight      int
	Windows     []int // indices into the windows given to Compile, ascending; never empty
	Distinct    Distinct
	PerSession  bool // counts once a session
	// TimesAuthFailed: the weight counts once for each of Event.AuthFailed.
	TimesAuthFailed bool

	spec    *Spec
	index   int // order of definition
	mark    int // of a session-rule, else -1
	fixed   bool
	door    maillog.Door // where it is scored, if fixed
	kinds   []maillog.Kind
	stages  uint32 // bit set of maillog.Stage; 0: any
	reasons uint64 // bit set of maillog.Reason; 0: any
	doors   uint8  // bit set of maillog.Door; 0: any
	conds   []cond
	pattern *pattern // nil: the event's fields decide
}

// A WindowWeight is what one event weighs in one window.
type WindowWeight struct {
	Window   int // index into the windows given to Compile
	Weight   int
	Distinct Distinct
	Rule     *Rule // that decides: of those that weigh most in the window the first
}

// A Hit is one combination of rules that matched one event at one door. Hits
// are interned: the same combination is the same pointer, and its ID is dense
// from 0. A Hit must not be changed.
type Hit struct {
	ID      int
	Rules   []*Rule        // all that matched, in order of definition
	Weights []WindowWeight // the heaviest of each window, by window
	// TimesAuthFailed: the event counts once for each of Event.AuthFailed.
	// On a line that matches such a rule only such rules count.
	TimesAuthFailed bool
}

// Hits are the hits of one event, by the door at which they are scored; nil
// where there is none.
type Hits [maillog.NumDoors]*Hit

// A HostileLine is a line of log in which the client wrote a false address,
// and the address that is to blame; the zero Addr says that none is.
type HostileLine struct {
	Text   string
	Client netip.Addr
	Pos    Pos
}
