package firewall

import (
	"errors"
	"fmt"
	"strings"
)

// What can be wrong in a way that an operator can do something about. Every
// *[Error] is one of these (errors.Is).
var (
	ErrNotPermitted   = errors.New("not permitted")         // a capability is missing
	ErrMissingProgram = errors.New("missing program")       // a program is not installed
	ErrMissingModule  = errors.New("missing kernel part")   // the kernel cannot do it, or a module is not loaded
	ErrSetFull        = errors.New("set is full")           // a limit of the firewall is reached
	ErrBusy           = errors.New("owned by another")      // another postmoat owns the firewall
	ErrUncertain      = errors.New("uncertain")             // the answer was lost: what arrived must be read back
	ErrGone           = errors.New("not in place")          // what Setup puts in place is not there (any more)
	ErrUnsupported    = errors.New("not supported by it")   // the backend cannot do what the options ask
	ErrBadEntry       = errors.New("entry not well formed") // a mistake of the caller
)

// An Error is what a backend could not do, why, and what the operator can do.
type Error struct {
	Backend string // "nftables"
	Op      string // what was being done: "set up"
	Kind    error  // one of the errors above
	Hint    string // what to do about it, a sentence; may be empty
	Err     error  // what the system said; may be nil
}

func (e *Error) Error() string {
	parts := []string{e.Backend, e.Op, e.Kind.Error()}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives errors.Is both the kind and what the system said.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Hint is what the operator can do about err, "" when nothing is known.
func Hint(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}

// Explain makes an error that an operator can act on of what a system said to a
// backend. meaning knows what that means: the hint and the
// kind (nil: nothing special). nil stays nil, and what has been explained stays as it is.
func Explain(backend, op string, err error, meaning func(error) (hint string, kind error)) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if hint, kind := meaning(err); kind != nil {
		return &Error{Backend: backend, Op: op, Kind: kind, Hint: hint, Err: err}
	}
	return fmt.Errorf("%s: %s: %w", backend, op, err)
}
