//go:build linux

package nftables

import (
	"bytes"
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// Netlink messages as in linux/netlink.h: a header in the host's byte order,
// then nfgenmsg, then attributes whose numbers are big endian.
const (
	headerLen = unix.SizeofNlMsghdr // 16
	familyLen = 4                   // nfgenmsg
	subsystem = unix.NFNL_SUBSYS_NFTABLES << 8

	nested = unix.NLA_F_NESTED
)

func align(n int) int { return (n + 3) &^ 3 }

// A message is one netlink message as it was read.
type message struct{ b []byte }

func (m message) kind() uint16  { return binary.NativeEndian.Uint16(m.b[4:]) }
func (m message) flags() uint16 { return binary.NativeEndian.Uint16(m.b[6:]) }
func (m message) seq() uint32   { return binary.NativeEndian.Uint32(m.b[8:]) }

// result is the errno of an acknowledgement (0: done) and the kernel's words.
func (m message) result() (errno unix.Errno, text string, ok bool) {
	if m.kind() != unix.NLMSG_ERROR && m.kind() != unix.NLMSG_DONE || len(m.b) < headerLen+4 {
		return 0, "", false
	}
	errno = unix.Errno(-int32(binary.NativeEndian.Uint32(m.b[headerLen:])))
	if m.kind() == unix.NLMSG_ERROR && m.flags()&unix.NLM_F_ACK_TLVS != 0 && m.flags()&unix.NLM_F_CAPPED != 0 {
		rest := m.b[headerLen+4:]
		for typ, val := range attributes(rest[min(headerLen, len(rest)):]) {
			if typ == unix.NLMSGERR_ATTR_MSG {
				text = string(bytes.TrimRight(val, "\x00"))
			}
		}
	}
	return errno, text, true
}

// body is the attributes of a message of nf_tables.
func (m message) body() []byte { return m.b[min(headerLen+familyLen, len(m.b)):] }

// attributes goes through attributes, without their flags, and stops at the
// first that is cut off.
func attributes(b []byte) func(yield func(typ uint16, val []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			size := int(binary.NativeEndian.Uint16(b))
			if size < 4 || size > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:size]) {
				return
			}
			b = b[min(align(size), len(b)):]
		}
	}
}

// attribute is the first of a type, nil when there is none.
func attribute(b []byte, want uint16) []byte {
	for typ, val := range attributes(b) {
		if typ == want {
			return val
		}
	}
	return nil
}

// text is a string attribute.
func text(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }

// A batch is messages on their way to the kernel: as one transaction (begin
// first, then commit) or each for itself.
type batch struct {
	b     []byte
	count uint32 // messages
	last  int    // where the last one starts
}

// begin starts a transaction over.
func (t *batch) begin() {
	t.b, t.count, t.last = t.b[:0], 0, 0
	t.open(unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	t.close()
}

// open starts a message of a family for a subsystem.
func (t *batch) open(kind, flags uint16, family byte, resource uint16) {
	t.last = len(t.b)
	t.count++
	t.b = append(t.b, make([]byte, 4)...)
	t.b = binary.NativeEndian.AppendUint16(t.b, kind)
	t.b = binary.NativeEndian.AppendUint16(t.b, flags)
	t.b = append(t.b, make([]byte, 8)...) // sequence and port
	t.b = append(t.b, family, unix.NFNETLINK_V0)
	t.b = binary.BigEndian.AppendUint16(t.b, resource)
}

// close ends the message that was opened last.
func (t *batch) close() {
	binary.NativeEndian.PutUint32(t.b[t.last:], uint32(len(t.b)-t.last))
}

// number gives the messages their sequence numbers, from first on.
func (t *batch) number(first uint32) {
	for at := 0; at < len(t.b); first++ {
		binary.NativeEndian.PutUint32(t.b[at+8:], first)
		at += align(int(binary.NativeEndian.Uint32(t.b[at:])))
	}
}

// seal ends a transaction: only its last message is acknowledged. It returns
// the sequence numbers of the first and of that last message.
func (t *batch) seal(seq uint32) (first, last uint32) {
	last = seq + t.count - 1
	flags := t.b[t.last+6:]
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
	t.open(unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	t.close()
	t.number(seq)
	return seq, last
}

// start opens an attribute of unknown length, end closes it.
func (t *batch) start(typ uint16) (at int) {
	at = len(t.b)
	t.b = append(t.b, 0, 0)
	t.b = binary.NativeEndian.AppendUint16(t.b, typ)
	return at
}

func (t *batch) end(at int) {
	binary.NativeEndian.PutUint16(t.b[at:], uint16(len(t.b)-at))
	for len(t.b)%4 != 0 {
		t.b = append(t.b, 0)
	}
}

func (t *batch) string(typ uint16, s string) {
	at := t.start(typ)
	t.b = append(append(t.b, s...), 0)
	t.end(at)
}

// An element is a key of a set and how it is meant.
type element struct {
	key     [16]byte
	timeout time.Duration // 0: none is sent
	end     bool          // of an interval: the first address after it
}

// elements appends one message for elements of a set whose keys have width
// bytes. All of them must fit one attribute: see perMessage.
func (t *batch) elements(kind, flags uint16, table, set string, width int, list []element) {
	t.open(subsystem|kind, unix.NLM_F_REQUEST|flags, unix.NFPROTO_INET, 0)
	t.string(unix.NFTA_SET_ELEM_LIST_TABLE, table)
	t.string(unix.NFTA_SET_ELEM_LIST_SET, set)
	if len(list) > 0 {
		all := t.start(unix.NFTA_SET_ELEM_LIST_ELEMENTS | nested)
		for i := range list {
			t.element(&list[i], width)
		}
		t.end(all)
	}
	t.close()
}

func (t *batch) element(e *element, width int) {
	one := t.start(unix.NFTA_LIST_ELEM | nested)
	if e.end {
		at := t.start(unix.NFTA_SET_ELEM_FLAGS)
		t.b = binary.BigEndian.AppendUint32(t.b, unix.NFT_SET_ELEM_INTERVAL_END)
		t.end(at)
	}
	key := t.start(unix.NFTA_SET_ELEM_KEY | nested)
	val := t.start(unix.NFTA_DATA_VALUE)
	t.b = append(t.b, e.key[:width]...)
	t.end(val)
	t.end(key)
	if e.timeout > 0 {
		at := t.start(unix.NFTA_SET_ELEM_TIMEOUT)
		t.b = binary.BigEndian.AppendUint64(t.b, uint64(e.timeout.Milliseconds()))
		t.end(at)
	}
	t.end(one)
}

// perMessage is how many elements go into one message: their attribute has a
// length of 16 bits, and one element has at most 48 bytes.
const perMessage = 1000
