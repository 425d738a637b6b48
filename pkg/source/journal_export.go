package source

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// An entry is what is taken of one entry of the journal.
type entry struct {
	cursor     []byte
	time       int64 // __REALTIME_TIMESTAMP, microseconds
	host       []byte
	identifier []byte
	syslogPID  []byte
	pid        []byte
	message    []byte

	uid, command, program, slice, unit []byte // from the kernel

	long bool // the message is longer than is taken
	torn bool // a trusted field came twice, with another value
	any  bool // at least one field
}

// Bounds of the export format, as systemd sets them: a name has at most 64
// bytes, and a field at most 768 MiB (DATA_SIZE_MAX).
const (
	maxFieldName = 64
	maxFieldSize = 768 << 20
	maxShort     = 4096 // of any field but the message; the cursor has about 130
)

var errExport = errors.New("no export format")

// An exporter reads what `journalctl -o export` writes: entries divided by an
// empty line, a field as NAME=value\n, or where the value is not plain text as
// NAME\n, eight bytes of little-endian length, the value, \n
// (systemd.io/JOURNAL_EXPORT_FORMATS). What is not needed is skipped, however
// long, without being held.
type exporter struct {
	r   *bufio.Reader
	max int // longest message
	e   entry
	raw []byte // the value being read
}

func newExporter(r io.Reader, limit int) *exporter {
	return &exporter{r: bufio.NewReaderSize(r, 64<<10), max: limit}
}

// next reads one entry, which is valid until the next call. io.EOF: the stream
// is over; an entry without the empty line at its end is not given.
func (x *exporter) next() (*entry, error) {
	e := &x.e
	*e = entry{
		cursor: e.cursor[:0], host: e.host[:0], identifier: e.identifier[:0], syslogPID: e.syslogPID[:0], pid: e.pid[:0], message: e.message[:0],
		uid: e.uid[:0], command: e.command[:0], program: e.program[:0], slice: e.slice[:0], unit: e.unit[:0],
	}
	for {
		done, err := x.field()
		if err != nil {
			return nil, err
		}
		if done && e.any {
			return e, nil
		}
	}
}

// A fieldID says which field one is, of those that are needed.
type fieldID uint8

const (
	fieldOther fieldID = iota
	fieldMessage
	fieldCursor
	fieldTime
	fieldHost
	fieldIdentifier
	fieldSyslogPID
	fieldPID
	fieldUID
	fieldCommand
	fieldProgram
	fieldSlice
	fieldUnit
)

func fieldOf(name []byte) fieldID {
	switch string(name) {
	case "MESSAGE":
		return fieldMessage
	case "__CURSOR":
		return fieldCursor
	case "__REALTIME_TIMESTAMP":
		return fieldTime
	case "_HOSTNAME":
		return fieldHost
	case "SYSLOG_IDENTIFIER":
		return fieldIdentifier
	case "SYSLOG_PID":
		return fieldSyslogPID
	case "_PID":
		return fieldPID
	case "_UID":
		return fieldUID
	case "_COMM":
		return fieldCommand
	case "_EXE":
		return fieldProgram
	case "_SYSTEMD_SLICE":
		return fieldSlice
	case "_SYSTEMD_UNIT":
		return fieldUnit
	}
	return fieldOther
}

// field reads one field. done: it was the empty line behind an entry.
func (x *exporter) field() (done bool, err error) {
	line, err := x.r.ReadSlice('\n')
	whole := err == nil
	if err != nil && err != bufio.ErrBufferFull {
		return false, err
	}
	if whole {
		line = line[:len(line)-1]
		if len(line) == 0 {
			return true, nil
		}
	}
	name, value, text := bytes.Cut(line, equals)
	if !fieldName(name) || !text && !whole {
		return false, fmt.Errorf("%w: a field named %q", errExport, name[:min(len(name), maxFieldName)])
	}
	x.e.any = true
	id := fieldOf(name)
	limit := maxShort
	switch id {
	case fieldMessage:
		limit = x.max
	case fieldOther:
		limit = -1
	}
	long := false
	switch {
	case !text:
		long, err = x.binary(limit)
		value = x.raw
	case !whole:
		long, err = x.rest(value, limit)
		value = x.raw
	case len(value) > limit:
		long, value = true, nil
	}
	if err == nil && id != fieldOther {
		x.set(id, value, long)
	}
	return false, err
}

var equals = []byte{'='}

func fieldName(name []byte) bool {
	for _, c := range name {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxFieldName
}

// rest reads on to the end of a line that is longer than the buffer. long: its
// value has more than limit bytes, and none were kept.
func (x *exporter) rest(value []byte, limit int) (long bool, err error) {
	x.raw = x.raw[:0]
	for part, more := value, true; ; {
		long = long || len(x.raw)+len(part) > limit
		if long {
			x.raw = x.raw[:0]
		} else {
			x.raw = append(x.raw, part...)
		}
		if !more {
			return long, nil
		}
		part, err = x.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return false, cutOff(err)
		}
		if more = err != nil; !more {
			part = part[:len(part)-1]
		}
	}
}

func (x *exporter) binary(limit int) (long bool, err error) {
	var b [8]byte
	if _, err := io.ReadFull(x.r, b[:]); err != nil {
		return false, cutOff(err)
	}
	size := binary.LittleEndian.Uint64(b[:])
	if size > maxFieldSize {
		return false, fmt.Errorf("%w: a field of %d bytes", errExport, size)
	}
	x.raw = x.raw[:0]
	if int64(size) > int64(limit) {
		if _, err := x.r.Discard(int(size)); err != nil {
			return false, cutOff(err)
		}
		long = true
	} else {
		x.raw = append(x.raw, make([]byte, size)...)
		if _, err := io.ReadFull(x.r, x.raw); err != nil {
			return false, cutOff(err)
		}
	}
	c, err := x.r.ReadByte()
	if err != nil {
		return false, cutOff(err)
	}
	if c != '\n' {
		return false, fmt.Errorf("%w: a binary field does not end with a newline", errExport)
	}
	return long, nil
}

func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// set keeps a value. Of a field that comes more than once the first counts; if
// what the kernel says comes with two values, nothing does.
func (x *exporter) set(id fieldID, value []byte, long bool) {
	e := &x.e
	field, trusted := &e.message, false
	switch id {
	case fieldMessage:
		e.long = e.long || long
	case fieldCursor:
		field = &e.cursor
	case fieldTime:
		if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && n > 0 {
			e.time = n
		}
		return
	case fieldHost:
		field = &e.host
	case fieldIdentifier:
		field = &e.identifier
	case fieldSyslogPID:
		field = &e.syslogPID
	case fieldPID:
		field = &e.pid
	case fieldUID:
		field, trusted = &e.uid, true
	case fieldCommand:
		field, trusted = &e.command, true
	case fieldProgram:
		field, trusted = &e.program, true
	case fieldSlice:
		field, trusted = &e.slice, true
	case fieldUnit:
		field, trusted = &e.unit, true
	}
	if trusted && (long || len(*field) > 0 && !bytes.Equal(*field, value)) {
		e.torn = true
	}
	if len(*field) == 0 {
		*field = append(*field, value...)
	}
}

// line writes the entry as a line of a log, into buf. false: it is none.
func (e *entry) line(buf []byte) ([]byte, bool) {
	if e.long || len(e.message) == 0 || e.time <= 0 || e.time > maxMicros {
		return buf, false
	}
	identifier := e.identifier
	if len(identifier) == 0 {
		identifier = e.command
	}
	pid := e.syslogPID
	if !digits(pid) {
		pid = e.pid
	}
	buf = time.UnixMicro(e.time).UTC().AppendFormat(buf, "2006-01-02T15:04:05.000000Z")
	buf = append(buf, ' ')
	buf = appendWord(buf, e.host, "localhost")
	buf = append(buf, ' ')
	buf = appendWord(buf, identifier, "unknown")
	if digits(pid) {
		buf = append(append(append(buf, '['), pid...), ']')
	}
	buf = append(buf, ':', ' ')
	for _, c := range e.message {
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		buf = append(buf, c)
	}
	return buf, true
}

// maxMicros is the end of the year 9999, behind which a time has another form.
const maxMicros = 253402300799 * 1_000_000

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 10
}

// appendWord writes a name so that it stays one word which no reader of the
// envelope takes apart.
func appendWord(buf, word []byte, none string) []byte {
	if len(word) == 0 {
		return append(buf, none...)
	}
	for _, c := range word[:min(len(word), 255)] {
		if c <= ' ' || c >= 0x7f || c == '[' || c == ']' || c == ':' || c == '<' || c == '>' {
			c = '_'
		}
		buf = append(buf, c)
	}
	return buf
}
