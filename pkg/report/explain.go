package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
)

// A Line is what postmoat reads in one line of a log. Its JSON form is a
// contract (README.md): absent fields are left out, a line of no interest
// has a number and the kind "none" only.
type Line struct {
	Line       uint64     `json:"line"`
	Kind       string     `json:"kind"`
	Time       *time.Time `json:"time,omitempty"`
	Host       *string    `json:"host,omitempty"`
	Program    *string    `json:"program,omitempty"`
	Service    *string    `json:"service,omitempty"`
	PID        *uint32    `json:"pid,omitempty"`
	QueueID    *string    `json:"queue_id,omitempty"`
	Client     *string    `json:"client,omitempty"`
	ClientName *string    `json:"client_name,omitempty"`
	Port       *uint16    `json:"port,omitempty"`
	Stage      *string    `json:"stage,omitempty"`
	Code       *uint16    `json:"code,omitempty"`
	DSN        *string    `json:"dsn,omitempty"`
	Reason     *string    `json:"reason,omitempty"`
	Helo       *string    `json:"helo,omitempty"`
	Sender     *string    `json:"sender,omitempty"` // "" is the null sender
	Recipient  *string    `json:"recipient,omitempty"`
	Proto      *string    `json:"proto,omitempty"`
	SASLUser   *string    `json:"sasl_user,omitempty"`
	Rules      *[]Matched `json:"rules,omitempty"`
	Weight     *int       `json:"weight,omitempty"`
	Good       *uint32    `json:"good,omitempty"`

	Why  string   `json:"-"` // nothing is read in it; "" where something is
	Past []string `json:"-"` // rules that it matches and that have counted in its session
	Door string   `json:"-"`
	Text string   `json:"-"` // the line, bounded and printable
}

// Matched is a rule that a line matches.
type Matched struct {
	Name   string `json:"name"`
	Weight int    `json:"weight"`
}

// Read says what postmoat makes of one line: ev, hits, all and n are those of
// [engine.Front.Explain].
func Read(number uint64, line []byte, ev *maillog.Event, hits, all rule.Hits, n uint32) *Line {
	l := &Line{Line: number, Kind: ev.Kind.String(), Text: sample(line)}
	switch ev.Kind {
	case maillog.KindNone, maillog.KindNoTime, maillog.KindUnknown, maillog.KindRepeat, maillog.KindActive:
		l.Kind = maillog.KindNone.String()
		if ev.Messages == 0 {
			l.Why = unread(ev.Kind)
			return l
		}
		// Good evidence of a Postfix before 3.0 is shown with its client.
	}
	t := stamp(ev.Time)
	l.Time = &t
	l.Door = ev.Door().String()
	l.Host, l.Program, l.Service = str(ev, maillog.Host), str(ev, maillog.Tag), str(ev, maillog.Service)
	l.QueueID, l.ClientName, l.DSN = str(ev, maillog.QueueID), str(ev, maillog.ClientName), str(ev, maillog.DSN)
	l.Helo, l.Sender, l.Recipient = str(ev, maillog.Helo), str(ev, maillog.Sender), str(ev, maillog.Recipient)
	l.Proto, l.SASLUser = str(ev, maillog.Proto), str(ev, maillog.SASLUser)
	l.PID, l.Port, l.Code = num(ev.PID), num(ev.Port), num(ev.Code)
	if ev.Client.IsValid() {
		c := ev.Client.String()
		l.Client = &c
	}
	if ev.Stage != maillog.NoStage {
		s := ev.Stage.String()
		l.Stage = &s
	}
	if ev.Reason != maillog.NoReason {
		s := ev.Reason.String()
		l.Reason = &s
	}
	rules, weight := []Matched{}, 0
	for _, h := range hits {
		if h == nil {
			continue
		}
		for _, r := range h.Rules {
			rules = append(rules, Matched{r.Name, r.Weight})
			weight = max(weight, r.Weight*int(n))
		}
	}
	for d, h := range all {
		if h == nil {
			continue
		}
		for _, r := range h.Rules {
			if hits[d] == nil || !slices.Contains(hits[d].Rules, r) {
				l.Past = append(l.Past, r.Name)
			}
		}
	}
	good := ev.Messages + ev.Logins
	l.Rules, l.Weight, l.Good = &rules, &weight, &good
	return l
}

// unread says why nothing is read in a line.
func unread(k maillog.Kind) string {
	switch k {
	case maillog.KindNoTime:
		return "not read: it begins with no time that postmoat knows"
	case maillog.KindUnknown:
		return "not understood: a line of Postfix or Dovecot in no known form"
	}
	return "of no interest: it says nothing about a client"
}

func str(ev *maillog.Event, t maillog.Text) *string {
	b := ev.Text(t)
	if b == nil {
		return nil
	}
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	return &s
}

func num[N ~uint16 | ~uint32](n N) *N {
	if n == 0 {
		return nil
	}
	return &n
}

// JSON is the line as one JSON object, without a line end.
func (l *Line) JSON() []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(l); err != nil {
		panic(err) // a Line has nothing in it that can't be encoded
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// Explain writes the line for people. numbered puts its number in front and
// leaves out the line itself.
func (l *Line) Explain(w io.Writer, numbered bool) error {
	var b strings.Builder
	if numbered {
		fmt.Fprintf(&b, "%d: ", l.Line)
	}
	if l.Why != "" {
		fmt.Fprintf(&b, "%s\n", l.Why)
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "%s at %s, door %s", l.Kind, l.Time.Format(time.RFC3339), l.Door)
	for _, f := range []struct {
		name  string
		value *string
	}{
		{"client", l.Client}, {"name", l.ClientName}, {"stage", l.Stage}, {"status", l.DSN}, {"reason", l.Reason},
		{"helo", l.Helo}, {"sender", l.Sender}, {"recipient", l.Recipient}, {"sasl user", l.SASLUser},
	} {
		if f.value != nil {
			fmt.Fprintf(&b, "; %s %s", f.name, printable(*f.value))
		}
	}
	if l.Client == nil {
		b.WriteString("; no client may be taken from it")
	}
	for i, r := range *l.Rules {
		if i == 0 {
			b.WriteString("\n    rules:")
		}
		fmt.Fprintf(&b, " %s (weight %d)", r.Name, r.Weight)
	}
	switch {
	case len(l.Past) > 0:
		fmt.Fprintf(&b, "\n    counted once in this session already: %s", strings.Join(l.Past, " "))
	case len(*l.Rules) == 0:
		b.WriteString("\n    no rule: not an offence")
	}
	if *l.Good > 0 {
		fmt.Fprintf(&b, "\n    good evidence: %d", *l.Good)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// printable makes text from a log fit for a terminal.
func printable(s string) string {
	if s == "" {
		return "<>"
	}
	return sample([]byte(s))
}
