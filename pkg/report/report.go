// Package report replays old maillogs through the engine and tells what it
// found: which networks would have been banned, when and why, what that would
// have prevented and whom it would have hurt.
package report

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"time"
)

// A Report is what a replay found. Its JSON form is a contract (README.md);
// what is not in the contract is for the text only.
type Report struct {
	Lines      uint64     `json:"lines"`
	Events     uint64     `json:"events"`
	Clients    int        `json:"clients"`
	Offences   uint64     `json:"offences"`
	Good       uint64     `json:"good"`
	First      *time.Time `json:"first"`
	Last       *time.Time `json:"last"`
	Bans       []Ban      `json:"bans"`
	Prevented  Prevented  `json:"prevented"`
	Collateral Collateral `json:"collateral"`
	Firewall   Firewall   `json:"firewall"`

	// Allowlisted is the offences of allowlisted clients, counted apart.
	Allowlisted uint64 `json:"-"`
	// Stale is the retries of old passwords that did not count.
	Stale uint64 `json:"-"`
	// TooLate is the offences whose stamps were too old to be scored.
	TooLate uint64 `json:"-"`
	// Learnt is the events before the span, from which only good senders were
	// learnt.
	Learnt uint64 `json:"-"`
	// Past says that there were events after the span.
	Past bool `json:"-"`
	// NotUnderstood is the lines of Postfix or Dovecot that no grammar matched.
	NotUnderstood uint64   `json:"-"`
	Samples       []Sample `json:"-"`

	Noisiest []Client  `json:"-"` // clients by offences
	Rules    []Rule    `json:"-"` // rules by offences
	Networks []Network `json:"-"` // networks by offences
	Hurt     []Client  `json:"-"` // clients with collateral, by messages
	Attack   *Attack   `json:"-"`
	Notes    []string  `json:"-"` // what an operator should know about the input
}

// A Ban is one spell of a ban.
type Ban struct {
	Prefix  string         `json:"prefix"`
	Door    string         `json:"door"`
	From    time.Time      `json:"from"`
	Until   time.Time      `json:"until"`
	Ended   string         `json:"ended"`
	Into    string         `json:"into,omitempty"`
	Members []string       `json:"members"`
	Rules   map[string]int `json:"rules"`
	Level   int            `json:"level"`
	Why     string         `json:"why"`

	Prevented uint64 `json:"-"` // lines that knocked on it
}

// Prevented is what the bans would have kept out.
type Prevented struct {
	Events uint64  `json:"events"` // offences
	Share  float64 `json:"share"`  // of all offences, 0 to 1
}

// Collateral is what the bans would have cost the innocent.
type Collateral struct {
	Clients  int    `json:"clients"`
	Messages uint64 `json:"messages"` // good events of non-members inside a ban
}

// Firewall is the work the bans would have made.
type Firewall struct {
	Adds    int `json:"adds"`
	Removes int `json:"removes"`
	Peak    int `json:"peak"` // most entries in force at once
}

// A Sample is a line that was not understood.
type Sample struct {
	Line  uint64 // in the whole log
	Where string // the same in words, with its file if there are several
	Text  string
}

// A Client is an address and what it did.
type Client struct {
	Addr      string
	Offences  uint32
	Prevented uint32
	Good      uint32
	Collat    uint32
	Rule      string // the last rule it broke
}

// A Network is a /24 or an IPv6 /48 with what its clients did.
type Network struct {
	Prefix   string
	Clients  int
	Offences uint64
}

// A Rule is a rule and how often it was broken.
type Rule struct {
	Name     string
	About    string
	Offences uint64
}

// An Attack is the busiest time of the log.
type Attack struct {
	From, Until time.Time
	Offences    uint64
	Peak        uint64 // offences in the busiest minute
	PeakAt      time.Time
}

// JSON writes the report as one JSON object, ban by ban: all of it at once would
// lie in memory several times.
func (r *Report) JSON(w io.Writer) error {
	frame := *r
	frame.Bans = []Ban{}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(&frame); err != nil {
		return err
	}
	head, tail, _ := strings.Cut(b.String(), "[]") // the only list
	if _, err := io.WriteString(w, head+"["); err != nil {
		return err
	}
	e.SetIndent("    ", "  ")
	for i := range r.Bans {
		b.Reset()
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		if err := e.Encode(&r.Bans[i]); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // the end of the line
		if _, err := w.Write(b.Bytes()); err != nil {
			return err
		}
	}
	if len(r.Bans) > 0 {
		tail = "\n  ]" + tail
	} else {
		tail = "]" + tail
	}
	_, err := io.WriteString(w, tail)
	return err
}
