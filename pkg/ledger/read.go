package ledger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// checkSnapshot reads a snapshot of size bytes through, and returns its header
// and the length of its payload. It is done before anybody is given the first
// byte of it.
func checkSnapshot(r io.Reader, size int64, generation uint64) (header, int64, error) {
	length := size - headerSize - trailerSize
	head := make([]byte, headerSize)
	switch _, err := io.ReadFull(r, head); {
	case atEnd(err):
		return header{}, 0, errShort
	case err != nil:
		return header{}, 0, bare(err)
	}
	h, err := parseHeader(head, snapshotMagic)
	if err != nil {
		return header{}, 0, err
	}
	if h.generation != generation {
		return header{}, 0, fmt.Errorf("its header says generation %d", h.generation)
	}
	if length < 0 {
		return header{}, 0, errShort
	}
	sum := crc32.New(castagnoli())
	sum.Write(head)
	trailer := make([]byte, trailerSize)
	if _, err = io.CopyN(sum, r, length); err == nil {
		_, err = io.ReadFull(r, trailer)
	}
	if atEnd(err) {
		return header{}, 0, errShort
	}
	if err != nil {
		return header{}, 0, bare(err)
	}
	sum.Write(trailer[:8])
	if sum.Sum32() != binary.LittleEndian.Uint32(trailer[8:]) || uint64(length) != binary.LittleEndian.Uint64(trailer) {
		return header{}, 0, errSum
	}
	return h, length, nil
}

// readJournal gives each record of a journal to each, in order; the bytes are
// valid until that returns. torn says that the journal ends in the middle of a
// record, as a power cut leaves it; err that there is damage with something
// behind it, or that the reading failed.
func readJournal(r io.Reader, generation uint64, each func(s serial, record []byte)) (torn bool, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(in, head); err != nil {
		return ended(err)
	}
	h, err := parseHeader(head, journalMagic)
	if err == nil && h.generation != generation {
		err = errHeader
	}
	if err != nil {
		return damaged(in, err)
	}
	var record []byte
	for {
		head := head[:prologueSize]
		if _, err := io.ReadFull(in, head); err != nil {
			if err == io.EOF {
				return false, nil
			}
			return ended(err)
		}
		p, ok := parsePrologue(head)
		if !ok {
			return damaged(in, errRecord)
		}
		if cap(record) < p.length {
			record = make([]byte, p.length)
		}
		record = record[:p.length]
		if _, err := io.ReadFull(in, record); err != nil {
			return ended(err)
		}
		if crc32.Checksum(record, castagnoli()) != p.sum {
			return damaged(in, errRecord)
		}
		each(p.serial, record)
	}
}

var errRecord = errors.New("a record is damaged")

// ended says what it means that a read in the middle of something ended so.
func ended(err error) (torn bool, _ error) {
	if atEnd(err) {
		return true, nil
	}
	return false, bare(err)
}

// damaged says what it means that what was read is damaged: with nothing but
// zeros behind it, a file system has made the file longer and then lost power.
func damaged(in io.Reader, err error) (torn bool, _ error) {
	if errors.Is(err, errNewer) {
		return false, err
	}
	b := make([]byte, 4096)
	for {
		n, readErr := in.Read(b)
		for _, c := range b[:n] {
			if c != 0 {
				return false, err
			}
		}
		if readErr == io.EOF {
			return true, nil
		}
		if readErr != nil {
			return false, bare(readErr)
		}
	}
}

func atEnd(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }
