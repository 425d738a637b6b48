package rule

import (
	"net/netip"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// A field is something of an event that a when may ask for beside its kind,
// stage, reason and door, which the decision table is made of.
type field uint8

const (
	fieldDSN field = iota
	fieldClientName
	fieldHelo
	fieldSender
	fieldRecipient
	fieldSASLUser
	fieldSASLMethod
	fieldProto
	fieldService
	fieldProgram
	fieldHost
	numTexts

	fieldCode field = iota - 1
	fieldPort
	fieldAuthFailed
	fieldUnknown
	fieldClient
	numFields
)

// textOf is the text of an event that a field is.
var textOf = [numTexts]maillog.Text{
	fieldDSN: maillog.DSN, fieldClientName: maillog.ClientName, fieldHelo: maillog.Helo, fieldSender: maillog.Sender,
	fieldRecipient: maillog.Recipient, fieldSASLUser: maillog.SASLUser, fieldSASLMethod: maillog.SASLMethod,
	fieldProto: maillog.Proto, fieldService: maillog.Service, fieldProgram: maillog.Tag, fieldHost: maillog.Host,
}

var fieldNames = [numFields]string{
	fieldDSN: "dsn", fieldClientName: "client_name", fieldHelo: "helo", fieldSender: "sender",
	fieldRecipient: "recipient", fieldSASLUser: "sasl_user", fieldSASLMethod: "sasl_method",
	fieldProto: "proto", fieldService: "service", fieldProgram: "program", fieldHost: "host",
	fieldCode: "code", fieldPort: "port", fieldAuthFailed: "auth_failed",
	fieldUnknown: "unknown_commands", fieldClient: "client",
}

// whenNames are all keys of a when.
func whenNames() []string {
	return append([]string{"kind", "stage", "reason", "door", "pattern"}, fieldNames[:]...)
}

func fieldOf(name string) (field, bool) {
	for f, n := range fieldNames {
		if n == name {
			return field(f), true
		}
	}
	return 0, false
}

// text is the event's text of a field, nil when it is absent.
func text(ev *maillog.Event, f field) []byte { return ev.Text(textOf[f]) }

// number is the event's number of a field, 0 when it is absent.
func number(ev *maillog.Event, f field) uint32 {
	switch f {
	case fieldCode:
		return uint32(ev.Code)
	case fieldPort:
		return uint32(ev.Port)
	case fieldAuthFailed:
		return ev.AuthFailed
	case fieldUnknown:
		if t := ev.Commands.Unknown; t.Total > t.OK {
			return uint32(t.Total - t.OK)
		}
	}
	return 0
}

// numbers is a set of number fields.
type numbers uint8

func numberBit(f field) numbers { return 1 << (f - fieldCode) }

// in says whether an event has any of the numbers, without a branch for each.
func (ns numbers) in(ev *maillog.Event) bool {
	var have numbers
	if number(ev, fieldCode) != 0 {
		have |= numberBit(fieldCode)
	}
	if number(ev, fieldPort) != 0 {
		have |= numberBit(fieldPort)
	}
	if number(ev, fieldAuthFailed) != 0 {
		have |= numberBit(fieldAuthFailed)
	}
	if number(ev, fieldUnknown) != 0 {
		have |= numberBit(fieldUnknown)
	}
	return ns&have != 0
}

// numberRange is what a number of the field can be.
func numberRange(f field) (lo, hi uint32) {
	if f == fieldCode {
		return 200, 599
	}
	return 1, 65535
}

// A cond is a field that must fit one of some predicates.
type cond struct {
	field field
	preds []int // indices into Set.preds
}

// A pred is one value a field is compared with; a set holds each only once.
type pred struct {
	field  field
	glob   glob         // text fields
	lo, hi uint32       // number fields
	prefix netip.Prefix // the client
}
