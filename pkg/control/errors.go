package control

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/postmoat/postmoat/pkg/daemon"
)

// What a client's errors can be, by errors.Is.
var (
	ErrNotRunning    = errors.New("not running")           // nobody answers at the socket
	ErrNotPermitted  = errors.New("not permitted")         // the socket may not be opened
	ErrNotUnderstood = errors.New("answer not understood") // what answers is no postmoat, or another version of it
)

// An Error is what the daemon, or the way to it, has against a request.
type Error struct {
	Status int    // of HTTP; 0: there was no answer
	What   string // what and why
	Hint   string // what to do about it; may be empty
	Kind   error  // one of the errors above, or nil
}

func (e *Error) Error() string { return e.What }

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Kind }

// Hint is what an operator can do about err, "" when nothing is known.
func Hint(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}

// bad is a request that makes no sense.
func bad(what, hint string) *Error {
	return &Error{Status: http.StatusBadRequest, What: what, Hint: hint}
}

// answerTo turns what the daemon said into an answer. refused is the status of
// an error that says nothing of its kind.
func answerTo(err error, refused int) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if r, ok := errors.AsType[*daemon.Refusal](err); ok {
		return &Error{Status: http.StatusConflict, What: r.What, Hint: r.Hint}
	}
	switch {
	case errors.Is(err, daemon.ErrStopped):
		return &Error{Status: http.StatusServiceUnavailable, What: err.Error(), Hint: "it is starting or stopping: try again in a moment"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Status: http.StatusServiceUnavailable, What: "the daemon did not answer in time",
			Hint: "it may be reading old logs or waiting for the firewall: 'postmoat status' and its log say more"}
	}
	return &Error{Status: refused, What: strings.TrimSpace(err.Error())}
}
