package decider

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/decider/keys"
)

// blockSize is the number of outcomes in a full block.
const blockSize = 16

// indexAbove is the number of remembered outcomes above which an index finds an
// outcome. Only streams with very many deferred commands have so many.
const indexAbove = 512

// remembered is the outcomes that a stream remembers, in the order of each
// command's first outcome. The outcomes have numbers. Full blocks of outcomes
// are on disk under keys of their own, and in memory only while somebody needs
// them; the fingerprints of their command ids are always in memory. So a command
// id that nobody has had costs no look at the disk.
//
// A frozen copy shares the slices: see [stream.thawed].
type remembered struct {
	// from is the number of the oldest outcome, and to the number of the next.
	from, to uint64
	// blocks are the full blocks, up to number to/blockSize.
	blocks []*outcomeBlock
	// newest are the outcomes behind the blocks, fewer than blockSize. Outcomes
	// below from are forgotten.
	newest []Outcome
	loaded int // blocks with outcomes in memory

	// ownBlocks and ownNewest say that no frozen copy shares the slice, and
	// thaws counts the copies: a block of another count is shared.
	ownBlocks, ownNewest bool
	thaws                uint32

	index *outcomeIndex // nil for few outcomes
}

// outcomeBlock is a full block of outcomes.
type outcomeBlock struct {
	prints   [blockSize]uint32 // fingerprints of the command ids
	outcomes []Outcome         // nil: on disk only
	written  bool              // on disk as it is here. Only the writer sets written
	thaws    uint32            // of the stream when the block was made
}

// outcomeIndex has the number of the last outcome by fingerprint.
type outcomeIndex struct {
	last    map[uint32]uint64
	clashes map[uint32]bool // fingerprints of several outcomes
}

// fingerprint is a short hash of a command id (FNV-1a). The fingerprints are on
// disk, so the function never changes.
func fingerprint(commandID string) uint32 {
	h := uint32(2166136261)
	for i := range len(commandID) {
		h = (h ^ uint32(commandID[i])) * 16777619
	}
	return h
}

func (r *remembered) len() int { return int(r.to - r.from) }

// behindBlocks is the number of newest[0].
func (r *remembered) behindBlocks() uint64 { return r.to - uint64(len(r.newest)) }

// firstBlock is the number of blocks[0].
func (r *remembered) firstBlock() uint64 { return r.behindBlocks()/blockSize - uint64(len(r.blocks)) }

// at returns the outcome with a number. The outcome must be in memory.
func (r *remembered) at(n uint64) *Outcome {
	if behind := r.behindBlocks(); n >= behind {
		return &r.newest[n-behind]
	}
	return &r.blocks[n/blockSize-r.firstBlock()].outcomes[n%blockSize]
}

// find finds the outcome of a command. If a block that may have the outcome is
// on disk only, find returns the block's number as missing.
func (r *remembered) find(commandID string) (n uint64, found bool, missing *uint64) {
	behind := r.behindBlocks()
	for i := len(r.newest) - 1; i >= 0 && behind+uint64(i) >= r.from; i-- {
		if r.newest[i].CommandID == commandID {
			return behind + uint64(i), true, nil
		}
	}
	if len(r.blocks) == 0 {
		return 0, false, nil
	}
	sum := fingerprint(commandID)
	if r.len() > indexAbove {
		n, indexed, clash := r.indexed().find(sum)
		switch {
		case !indexed, !clash && (n < r.from || n >= behind):
			return 0, false, nil
		case !clash:
			return r.compare(n, commandID)
		}
	}
	first := r.firstBlock() * blockSize
	for b := range r.blocks {
		for i, p := range &r.blocks[b].prints {
			n := first + uint64(b*blockSize+i)
			if p != sum || n < r.from {
				continue
			}
			if n, found, missing := r.compare(n, commandID); found || missing != nil {
				return n, found, missing
			}
		}
	}
	return 0, false, nil
}

// compare looks whether an outcome in a block is the outcome of a command.
func (r *remembered) compare(n uint64, commandID string) (uint64, bool, *uint64) {
	number := n / blockSize
	block := r.blocks[number-r.firstBlock()]
	if block.outcomes == nil {
		return 0, false, &number
	}
	return n, block.outcomes[n%blockSize].CommandID == commandID, nil
}

// add adds an outcome of another command.
func (r *remembered) add(o Outcome) {
	r.newest = append(r.newest, o)
	r.to++
	if r.index != nil {
		r.index.add(fingerprint(o.CommandID), r.to-1)
	}
	if len(r.newest) < blockSize {
		return
	}
	block := &outcomeBlock{outcomes: r.newest, thaws: r.thaws}
	if !r.ownNewest {
		block.outcomes = slices.Clone(r.newest)
	}
	block.print(block.outcomes)
	r.blocks, r.newest, r.ownNewest = append(r.blocks, block), nil, true
	r.loaded++
}

// print sets the fingerprints of the block's outcomes.
func (b *outcomeBlock) print(outcomes []Outcome) {
	for i := range outcomes {
		b.prints[i] = fingerprint(outcomes[i].CommandID)
	}
}

// replace replaces the outcome of a command.
func (r *remembered) replace(n uint64, o Outcome) {
	if behind := r.behindBlocks(); n >= behind {
		if !r.ownNewest {
			r.newest, r.ownNewest = slices.Clone(r.newest), true
		}
		r.newest[n-behind] = o
		return
	}
	if !r.ownBlocks {
		r.blocks, r.ownBlocks = slices.Clone(r.blocks), true
	}
	block := &r.blocks[n/blockSize-r.firstBlock()]
	if b := *block; b.written || b.thaws != r.thaws {
		*block = &outcomeBlock{prints: b.prints, outcomes: slices.Clone(b.outcomes), thaws: r.thaws}
	}
	(*block).outcomes[n%blockSize] = o
}

// keep forgets the oldest outcomes, until at most limit are left.
func (r *remembered) keep(limit int) {
	if r.len() <= limit {
		return
	}
	r.from = r.to - uint64(limit)
	for len(r.blocks) > 0 && (r.firstBlock()+1)*blockSize <= r.from {
		if r.blocks[0].outcomes != nil {
			r.loaded--
		}
		r.blocks = r.blocks[1:]
	}
	if r.len() <= indexAbove {
		r.index = nil
	}
}

// has says whether a block of this number is remembered.
func (r *remembered) has(number uint64) bool {
	first := r.firstBlock()
	return first <= number && number-first < uint64(len(r.blocks))
}

// lacks says whether a block of this number is remembered, and on disk only.
func (r *remembered) lacks(number uint64) bool {
	return r.has(number) && r.blocks[number-r.firstBlock()].outcomes == nil
}

// restore puts a block that was read from disk in its place, unless the block is
// in memory again, or forgotten.
func (r *remembered) restore(number uint64, outcomes []Outcome) {
	if r.lacks(number) {
		r.blocks[number-r.firstBlock()].outcomes = outcomes
		r.loaded++
	}
}

// drop drops the outcomes of all blocks from memory. All must be on disk.
func (r *remembered) drop() {
	if r.loaded == 0 {
		return
	}
	for _, b := range r.blocks {
		b.outcomes = nil
	}
	r.loaded = 0
}

// indexed returns the index of the outcomes in blocks and behind.
func (r *remembered) indexed() *outcomeIndex {
	if r.index != nil && len(r.index.last) <= 2*r.len() {
		return r.index
	}
	r.index = &outcomeIndex{last: make(map[uint32]uint64, 2*r.len()), clashes: map[uint32]bool{}}
	first := r.firstBlock() * blockSize
	for b := range r.blocks {
		for i, p := range &r.blocks[b].prints {
			r.index.add(p, first+uint64(b*blockSize+i))
		}
	}
	behind := r.behindBlocks()
	for i := range r.newest {
		r.index.add(fingerprint(r.newest[i].CommandID), behind+uint64(i))
	}
	return r.index
}

func (x *outcomeIndex) add(sum uint32, n uint64) {
	if _, twice := x.last[sum]; twice {
		x.clashes[sum] = true
	}
	x.last[sum] = n
}

func (x *outcomeIndex) find(sum uint32) (n uint64, indexed, clash bool) {
	n, indexed = x.last[sum]
	return n, indexed, x.clashes[sum]
}

func (p *processor) readOutcomes(name string, block uint64) ([]Outcome, error) {
	data, err := p.disk.Get(keys.Numbered(nil, p.partition, keys.Outcomes, name, block))
	if err != nil || data == nil {
		return nil, err
	}
	return readBlock(data, p.registry, p.partition)
}

// blocksOnDisk are the numbers of a stream's blocks that a scan of the disk finds.
func (p *processor) blocksOnDisk(name string) (blocks []uint64, err error) {
	first := keys.Numbered(nil, p.partition, keys.Outcomes, name, 0)
	err = p.disk.Scan(first, keys.Behind(first[:len(first)-8]), func(key, _ []byte) error {
		blocks = append(blocks, binary.BigEndian.Uint64(key[len(key)-8:]))
		return nil
	})
	return blocks, err
}

// readPrints reads the fingerprints that the stream's value doesn't have.
func (p *processor) readPrints(name string, r *remembered) error {
	older := len(r.blocks) - printedBlocks
	for i := range older {
		outcomes, err := p.readOutcomes(name, r.firstBlock()+uint64(i))
		if err != nil {
			return err
		}
		if outcomes == nil {
			return fmt.Errorf("%w: a block of outcomes is not there", errValue)
		}
		r.blocks[i].print(outcomes)
	}
	return nil
}
