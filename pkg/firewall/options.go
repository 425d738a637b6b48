package firewall

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// DefaultOwner is the table, chain or anchor of the daemon.
const DefaultOwner = "postmoat"

// maxOwner keeps names made from the owner within what ipset (31 bytes) and
// iptables (28 bytes) take.
const maxOwner = 16

// Options are what every backend is told.
type Options struct {
	// Ports of each door. A host that is banned at any door is cut off from
	// all of them, a wider network only from those of its own door.
	Ports  [maillog.NumDoors][]uint16
	Action Action
	// Owner is the name of the table, chain or anchor; "" is DefaultOwner.
	Owner string
	// Now is the clock that deadlines are measured with; nil is time.Now.
	Now func() time.Time
}

// WithDefaults fills in what was left out and checks the rest.
func (o Options) WithDefaults() (Options, error) {
	if o.Owner == "" {
		o.Owner = DefaultOwner
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	var errs []error
	if !validOwner(o.Owner) {
		errs = append(errs, fmt.Errorf("owner %q: must be 1 to %d of a-z, 0-9 and _, a letter first", o.Owner, maxOwner))
	}
	if o.Action > Reject {
		errs = append(errs, fmt.Errorf("action %d: no such action", o.Action))
	}
	if len(o.AllPorts()) == 0 {
		errs = append(errs, errors.New("ports: no door has any, so nothing would be cut off"))
	}
	if slices.Contains(o.AllPorts(), 0) {
		errs = append(errs, errors.New("ports: 0 is no port"))
	}
	if len(errs) > 0 {
		return o, fmt.Errorf("firewall options: %w", errors.Join(errs...))
	}
	return o, nil
}

// AllPorts are the ports of all doors, sorted, each once.
func (o Options) AllPorts() []uint16 {
	var all []uint16
	for _, ports := range o.Ports {
		all = append(all, ports...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func validOwner(s string) bool {
	if len(s) == 0 || len(s) > maxOwner || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// An Action is what happens to a packet of a banned client.
type Action uint8

// The actions.
const (
	Drop   Action = iota // the client hears nothing
	Reject               // the client gets a TCP reset
)

func (a Action) String() string {
	switch a {
	case Drop:
		return "drop"
	case Reject:
		return "reject"
	}
	return "action?"
}

// ParseAction is the inverse of String.
func ParseAction(s string) (Action, bool) {
	switch s {
	case "drop":
		return Drop, true
	case "reject":
		return Reject, true
	}
	return 0, false
}
