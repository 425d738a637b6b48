// Package score decides when a client has offended often enough. A Table
// counts offences in exact sliding windows, one Table for each door; Good
// remembers, for all doors together, who delivers wanted mail.
//
// Time is handed in as Unix seconds and kept in 32 bits (until the year
// 2106). Nothing depends on a map's order or on a random seed: the same calls
// give the same answers.
package score

import "net/netip"

// Unit is the weight of one whole offence: weights are counted in quarters,
// because a repeat of a distinct value counts a quarter.
const Unit = 4

// MaxLimit is the highest Limit that a client by itself is sure to reach: of
// one no more events are held than reach it if each counts a quarter.
const MaxLimit = maxRecs / Unit

// A Window fires when the weights of a client within (a-Span, a], a being the
// time of one of its events, reach Limit.
type Window struct {
	Name  string
	Span  int64 // seconds, at least 1
	Limit int   // whole weights, at least 1

	// Share, per mille, is the least part of offences in offences and
	// accepted messages (see [Good.Accepted]) of the same span with which the
	// window fires; 0: none.
	// A client without accepted messages passes any share.
	Share int

	// Width4 and Width6 make it a window of networks of these prefix lengths
	// (Width6 at most 64); both 0: it counts clients. Clients is the least
	// number of clients of the network that must have taken part.
	Width4, Width6 int
	Clients        int
}

// wide says whether the window counts networks.
func (w *Window) wide() bool { return w.Width4 != 0 || w.Width6 != 0 }

// A Weight is what an event counts in one window.
type Weight struct {
	Window   int  // index in Options.Windows
	Units    int  // quarters of a weight
	Distinct bool // within the window a value counts in full once, then a quarter
}

// A Class is one combination of rules that matched one event.
type Class struct {
	Rules   []string
	Weights []Weight // where a window is named twice the heavier one holds
}

// A ClassID names a Class of one Table.
type ClassID uint32

// Options are the settings of a Table.
type Options struct {
	Windows    []Window
	MaxClients int   // clients held at most; 0: 1,000,000
	Late       int64 // tolerated disorder, seconds
	// Counted are those of the rules of a class that count in a window: it is
	// they that are told. nil: all are.
	Counted func(rules []string, window int) []string
}

// An Offence is one event, or Count equal ones, that count against a client.
type Offence struct {
	Time   int64        // Unix seconds
	Key    netip.Prefix // the client: a /32, an IPv6 /64, or a /128 of a /64 that is watched by address
	Client netip.Addr   // the address, whose good record stretches the limits; may be invalid
	Class  ClassID
	Value  uint64 // hash of the recipient or SASL user, compared by its folded 32 bits; 0: none
	Count  uint32 // copies; 0 counts as 1
}

// A Fired is a window that reached its limit.
type Fired struct {
	Window      int          // index in Options.Windows
	Key         netip.Prefix // the client, or the network of a window that has a width
	Time, First int64        // the last and the first event of the span that fired, Unix seconds
	Units       int          // sum of the weights, quarters
	Limit       int          // what it had to reach, quarters; stretched for a known-good client
	Events      int          // events in the span, copies counted
	Rules       []RuleCount
	Clients     []netip.Prefix // all that took part, sorted; nil unless the window has a width
	Accepted    int            // recipients of accepted messages in the same span, where the window has a share
}

// A RuleCount says how many events of a span a rule has counted.
type RuleCount struct {
	Rule  string
	Count int
}
