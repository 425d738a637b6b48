package maillog

import (
	"bytes"

	"github.com/postmoat/postmoat/pkg/vector"
)

// A knownRefusal is a reject but for who and whom it is about: what stands in front
// of the recipient and what between it and the sender, as in
//
//	450 4.1.1 <R>: Recipient address rejected: User unknown in local recipient table; from=<S>
//
// and what these words mean.
type knownRefusal struct {
	first, last uint64 // words of the front: at its begin, and of its last 8 bytes
	mask        uint64 // of what of them belongs to it: not all of a short one
	text        [112]byte

	n      uint8 // length of text; 0: none
	front  uint8 // length of the front
	status uint8 // length of the enhanced status code, in front of " <"
	reason Reason
	code   uint16
}

// minRefusal is how long a text that can be known is at least.
const minRefusal = len(">: User unknown; from=<")

// refused is [told] for a reject at RCPT, nearly all of which have words that are
// known.
func (p *Parser) refused(b []byte, ev *Event) Kind {
	if p == nil || len(b) < minRefused {
		return told(b, SMTPDReject, ev)
	}
	k := &p.refusals[refusalAt(b)]
	if k.reads(b, ev) {
		return SMTPDReject
	}
	kind := told(b, SMTPDReject, ev)
	k.learn(b, ev)
	return kind
}

// minRefused is how long what is known of a reject is at least.
const minRefused = 64

// refusalAt is where the words of a reject stand in refusals: by its codes.
func refusalAt(b []byte) uint64 {
	w := load(b, 0)
	if byte(w>>32) == '<' { // no enhanced status code
		w &= low4
	}
	return w * 0x9e3779b97f4a7c15 >> 62
}

// reads sets what told would for
//
//	CODE DSN <R>: TEXT; from=<S> to=<R> proto=ESMTP helo=<H>
//
// with words that are known, if R, S and H are such that plainFields reads them;
// else it sets nothing. b holds at least minRefused bytes.
func (k *knownRefusal) reads(b []byte, ev *Event) bool {
	rcpt := int(k.front)
	if k.n == 0 || load(b, 0)&k.mask != k.first || load(b, max(rcpt-8, 0))&k.mask != k.last {
		return false
	}
	size := vector.Stop(b, rcpt)
	at := rcpt + size // of the text
	from := at + int(k.n)
	if size == 0 || from > len(b)-minFields || string(b[at:from]) != string(k.text[:k.n]) {
		return false
	}
	end := from + vector.Stop(b, from)
	to := end + len("> to=<")
	proto := to + size + len("> proto=")
	helo := proto + len("SMTP helo=<")
	if helo+1 >= len(b) {
		return false
	}
	if b[proto] == 'E' {
		helo++
	}
	if string(b[end:to]) != "> to=<" || !vector.Alike(b, to, b, rcpt, size) ||
		load(b, proto-8) != wAnyProto || load(b, helo-11) != wSMTPHelo || load(b, helo-8) != wPHelo ||
		helo+vector.Stop(b, helo) != len(b)-1 || b[len(b)-1] != '>' {
		return false
	}
	ev.Code, ev.Reason = k.code, k.reason
	if n := int(k.status); n > 0 {
		ev.set(DSN, b[rcpt-2-n:rcpt-2])
	}
	ev.set(Sender, b[from:end])
	ev.set(Recipient, b[to:to+size])
	ev.set(Proto, b[proto:helo-len(" helo=<")])
	ev.set(Helo, b[helo:len(b)-1])
	return true
}

const (
	minFields = len("> to=<a> proto=SMTP helo=<>")
	wAnyProto = '>' | ' '<<8 | 'p'<<16 | 'r'<<24 | 'o'<<32 | 't'<<40 | 'o'<<48 | '='<<56
	wSMTPHelo = 'S' | 'M'<<8 | 'T'<<16 | 'P'<<24 | ' '<<32 | 'h'<<40 | 'e'<<48 | 'l'<<56
	wPHelo    = 'P' | ' '<<8 | 'h'<<16 | 'e'<<24 | 'l'<<32 | 'o'<<40 | '='<<48 | '<'<<56
)

// learn makes k the words of the refusal b, of which told has read ev, if they alone
// decide: where they have a class, nothing behind them can give another.
func (k *knownRefusal) learn(b []byte, ev *Event) {
	code, status, t := codes(b)
	sender := ev.Text(Sender)
	n := sameObject(t, ev.Text(Recipient))
	front := len(b) - len(t) + 1
	if n == 0 || sender == nil || front > 16 {
		return
	}
	from := cap(t) - cap(sender)
	if from < n-1+minRefusal {
		return
	}
	text := t[n-1 : from]
	why, ok := cut(text, ">: ")
	if !ok || !ends(text, "; from=<") || bytes.IndexByte(text, '=') != len(text)-2 {
		return
	}
	r := objectReason(why)
	if r == NoReason || len(text) > len(k.text) {
		return
	}
	*k = knownRefusal{n: uint8(len(text)), front: uint8(front), status: uint8(len(status)), reason: r, code: code}
	k.mask = ^uint64(0) >> (8 * max(8-front, 0))
	k.first, k.last = load(b, 0)&k.mask, load(b, max(front-8, 0))&k.mask
	copy(k.text[:], text)
}
