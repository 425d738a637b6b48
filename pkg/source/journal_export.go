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

// field reads one field. done: it was the empty line behind an entry.
func (x *exporter) field() (done bool, err error) {
	var name [maxFieldName]byte
	n := 0
	for {
		c, err := x.r.ReadByte()
		if err != nil {
			return false, err
		}
		if c == '\n' && n == 0 {
			return true, nil
		}
		if c == '\n' || c == '=' {
			x.e.any = true
			return false, x.value(string(name[:n]), c == '\n')
		}
		if n == len(name) || (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false, fmt.Errorf("%w: a field named %q", errExport, name[:n])
		}
		name[n] = c
		n++
	}
}

// value reads the value of a field and keeps it if it is needed.
func (x *exporter) value(name string, binary bool) error {
	limit := maxShort
	switch name {
	case "MESSAGE":
		limit = x.max
	case "__CURSOR", "__REALTIME_TIMESTAMP", "_HOSTNAME", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "_PID",
		"_UID", "_COMM", "_EXE", "_SYSTEMD_SLICE", "_SYSTEMD_UNIT":
	default:
		limit = -1
	}
	read := x.text
	if binary {
		read = x.binary
	}
	long, err := read(limit)
	if err != nil || limit < 0 {
		return err
	}
	x.set(name, x.raw, long)
	return nil
}

// text reads to the end of the line. long: it had more than limit bytes, and
// none were kept.
func (x *exporter) text(limit int) (long bool, err error) {
	x.raw = x.raw[:0]
	for {
		part, err := x.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return false, err
		}
		long = long || len(x.raw)+len(bytes.TrimSuffix(part, newline)) > limit
		if long {
			x.raw = x.raw[:0]
		} else {
			x.raw = append(x.raw, part...)
		}
		if err == nil {
			x.raw = bytes.TrimSuffix(x.raw, newline)
			return long, nil
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
func (x *exporter) set(name string, value []byte, long bool) {
	e := &x.e
	field, trusted := &e.message, false
	switch name {
	case "MESSAGE":
		e.long = e.long || long
	case "__CURSOR":
		field = &e.cursor
	case "__REALTIME_TIMESTAMP":
		if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && n > 0 {
			e.time = n
		}
		return
	case "_HOSTNAME":
		field = &e.host
	case "SYSLOG_IDENTIFIER":
		field = &e.identifier
	case "SYSLOG_PID":
		field = &e.syslogPID
	case "_PID":
		field = &e.pid
	case "_UID":
		field, trusted = &e.uid, true
	case "_COMM":
		field, trusted = &e.command, true
	case "_EXE":
		field, trusted = &e.program, true
	case "_SYSTEMD_SLICE":
		field, trusted = &e.slice, true
	case "_SYSTEMD_UNIT":
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
