"""Every error brainmets raises on purpose, each with a code that never changes.

BrainmetsError
├── InputError                    the user's file or folder is at fault
│   ├── FileMissing               E_FILE_MISSING
│   ├── UnknownFormat             E_FORMAT
│   ├── NotNifti                  E_NOT_NIFTI
│   ├── Truncated                 E_TRUNCATED
│   ├── ChecksumMismatch          E_CHECKSUM
│   ├── TooLarge                  E_TOO_LARGE
│   ├── Bomb                      E_BOMB
│   ├── Dimensions                E_DIMENSIONS
│   ├── TooFewSlices              E_ONE_SLICE
│   ├── NonFinite                 E_NONFINITE
│   ├── ConstantImage             E_CONSTANT
│   ├── SingularAffine            E_AFFINE
│   ├── NoOrientation             E_NO_ORIENTATION
│   ├── Spacing                   E_SPACING
│   ├── VoxelType                 E_VOXEL_TYPE
│   ├── ArchiveBroken             E_ARCHIVE
│   ├── ArchiveEmpty              E_ARCHIVE_EMPTY
│   ├── ArchiveUnsafe             E_ARCHIVE_UNSAFE
│   ├── NoDicom                   E_DICOM_NONE
│   ├── DicomHeader               E_DICOM_HEADER
│   ├── DicomPixels               E_DICOM_PIXELS
│   ├── SeveralSeries             E_SERIES_CHOICE
│   ├── UnknownSeries             E_SERIES_UNKNOWN
│   ├── MixedSlices               E_SLICES_MIXED
│   ├── MissingSlices             E_SLICES_MISSING
│   ├── DuplicateSlices           E_SLICES_DUPLICATE
│   ├── GantryTilt                E_GANTRY_TILT
│   ├── BrokenImage               E_IMAGE
│   ├── MissingSequence           E_SEQUENCE
│   ├── GridMismatch              E_GRID
│   ├── NotAligned                E_REGISTRATION
│   ├── Mirrored                  E_MIRRORED
│   ├── NotBrainMr                E_NOT_BRAIN_MR
│   ├── DifferentPatient          E_PATIENT
│   ├── DatasetLayout             E_DATASET
│   ├── LabelsUnknown             E_LABELS
│   ├── NotAResult                E_RESULT
│   ├── SourceDiffers             E_SOURCE
│   └── NothingToExport           E_NO_LESION
├── OptionError                   E_OPTION        an option or setting cannot be used
│   └── RecipeError               E_RECIPE        a training recipe cannot be used
├── ModelError                    a bundle or engine is at fault
│   ├── UnknownModel              E_MODEL_UNKNOWN
│   ├── BundleIncomplete          E_BUNDLE_INCOMPLETE
│   ├── BundleTampered            E_BUNDLE_TAMPERED
│   ├── WrongModelKind            E_MODEL_KIND
│   ├── EngineMissing             E_ENGINE_MISSING
│   └── CheckpointMismatch        E_CHECKPOINT
├── ResourceError                 this machine is at fault
│   ├── OutOfMemory               E_MEMORY
│   ├── DiskFull                  E_DISK
│   ├── StorageUnavailable        E_STORAGE
│   ├── OutputExists              E_OUTPUT_EXISTS
│   └── OutputDiffers             E_OUTPUT_DIFFERS
├── JobError                      the service is at fault or has refused
│   ├── UnknownJob                E_JOB_UNKNOWN
│   ├── JobNotFinished            E_JOB_NOT_FINISHED
│   ├── JobCancelled              E_JOB_CANCELLED
│   ├── QueueFull                 E_QUEUE_FULL
│   ├── PoisonJob                 E_POISON
│   ├── UploadTooLarge            E_UPLOAD_TOO_LARGE
│   ├── Unauthorised              E_UNAUTHORISED
│   ├── BadRequest                E_REQUEST
│   ├── ServiceUnreachable        E_SERVICE
│   ├── ServiceStopping           E_STOPPING
│   ├── TooManyTries              E_TRIES
│   ├── WorkersStalled            E_WORKERS
│   ├── StoreUnavailable          E_STORE
│   ├── RecordDamaged             E_RECORD
│   └── UploadStalled             E_STALLED
└── Unforeseen                    E_INTERNAL      a fault of brainmets itself
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ArchiveBroken",
    "ArchiveEmpty",
    "ArchiveUnsafe",
    "BadRequest",
    "Bomb",
    "BrainmetsError",
    "BrokenImage",
    "BundleIncomplete",
    "BundleTampered",
    "CheckpointMismatch",
    "ChecksumMismatch",
    "ConstantImage",
    "DatasetLayout",
    "DicomHeader",
    "DicomPixels",
    "DifferentPatient",
    "Dimensions",
    "DiskFull",
    "DuplicateSlices",
    "EngineMissing",
    "FileMissing",
    "GantryTilt",
    "GridMismatch",
    "InputError",
    "JobCancelled",
    "JobError",
    "JobNotFinished",
    "LabelsUnknown",
    "Mirrored",
    "MissingSequence",
    "MissingSlices",
    "MixedSlices",
    "ModelError",
    "NoDicom",
    "NoOrientation",
    "NonFinite",
    "NotAResult",
    "NotAligned",
    "NotBrainMr",
    "NotNifti",
    "NothingToExport",
    "OptionError",
    "OutOfMemory",
    "OutputDiffers",
    "OutputExists",
    "PoisonJob",
    "QueueFull",
    "RecipeError",
    "RecordDamaged",
    "ResourceError",
    "ServiceStopping",
    "ServiceUnreachable",
    "SeveralSeries",
    "SingularAffine",
    "SourceDiffers",
    "Spacing",
    "StorageUnavailable",
    "StoreUnavailable",
    "TooFewSlices",
    "TooLarge",
    "TooManyTries",
    "Truncated",
    "Unauthorised",
    "Unforeseen",
    "UnknownFormat",
    "UnknownJob",
    "UnknownModel",
    "UnknownSeries",
    "UploadStalled",
    "UploadTooLarge",
    "VoxelType",
    "WorkersStalled",
    "WrongModelKind",
    "all_errors",
]


class BrainmetsError(Exception):
    """A failure explained in three parts: what was found, what was expected, what to do.

    The text never holds patient data: no header field, no path beyond a file's own name.
    """

    code: ClassVar[str] = "E_BRAINMETS"

    def __init__(self, found: str, *, expected: str, remedy: str) -> None:
        """Keep the three parts, each a clause without a full stop."""
        super().__init__(found, expected, remedy)
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling between a job's child process and its server."""
        return (_rebuild, (type(self), self.found, self.expected, self.remedy))

    def __str__(self) -> str:
        """`E_CODE: what was found; what was expected; what to do`, on one line."""
        text = f"{self.code}: {self.found}; expected {self.expected}; {self.remedy}"
        return " ".join(text.split())


def _rebuild(kind: type[BrainmetsError], found: str, expected: str, remedy: str) -> BrainmetsError:
    return kind(found, expected=expected, remedy=remedy)


class InputError(BrainmetsError):
    """The file or folder given by the user cannot be used."""

    code = "E_INPUT"


class FileMissing(InputError):
    """The file or folder does not exist."""

    code = "E_FILE_MISSING"


class UnknownFormat(InputError):
    """The content is none of NIfTI, DICOM, zip, PNG, JPEG, TIFF."""

    code = "E_FORMAT"


class NotNifti(InputError):
    """The file is named NIfTI but its header is not."""

    code = "E_NOT_NIFTI"


class Truncated(InputError):
    """The file ends before its content does."""

    code = "E_TRUNCATED"


class ChecksumMismatch(InputError):
    """The compressed content does not match its CRC."""

    code = "E_CHECKSUM"


class TooLarge(InputError):
    """The header declares, or the file holds, more than the limit."""

    code = "E_TOO_LARGE"


class Bomb(InputError):
    """The content expands far beyond what an image does."""

    code = "E_BOMB"


class Dimensions(InputError):
    """The image is not three-dimensional."""

    code = "E_DIMENSIONS"


class TooFewSlices(InputError):
    """A volume of one or two slices: not a head."""

    code = "E_ONE_SLICE"


class NonFinite(InputError):
    """Some voxels are NaN or infinite."""

    code = "E_NONFINITE"


class ConstantImage(InputError):
    """Every voxel has the same value."""

    code = "E_CONSTANT"


class SingularAffine(InputError):
    """The voxel-to-millimetre matrix has no inverse or is not finite."""

    code = "E_AFFINE"


class NoOrientation(InputError):
    """The header has no orientation."""

    code = "E_NO_ORIENTATION"


class Spacing(InputError):
    """The voxel spacing is not that of a head."""

    code = "E_SPACING"


class VoxelType(InputError):
    """Complex, RGB or otherwise unusable voxels."""

    code = "E_VOXEL_TYPE"


class ArchiveBroken(InputError):
    """The archive cannot be read."""

    code = "E_ARCHIVE"


class ArchiveEmpty(InputError):
    """The archive holds no file."""

    code = "E_ARCHIVE_EMPTY"


class ArchiveUnsafe(InputError):
    """The archive has unsafe entries: links, overlaps, encrypted or absolute names."""

    code = "E_ARCHIVE_UNSAFE"


class NoDicom(InputError):
    """No readable DICOM image was found."""

    code = "E_DICOM_NONE"


class DicomHeader(InputError):
    """A DICOM file lacks an attribute that placing it in space needs."""

    code = "E_DICOM_HEADER"


class DicomPixels(InputError):
    """A DICOM file's pixels cannot be decoded."""

    code = "E_DICOM_PIXELS"


class SeveralSeries(InputError):
    """More than one image series was found: the user must choose one."""

    code = "E_SERIES_CHOICE"


class UnknownSeries(InputError):
    """The chosen series is not among those found."""

    code = "E_SERIES_UNKNOWN"


class MixedSlices(InputError):
    """Slices of one series differ in size, orientation or spacing."""

    code = "E_SLICES_MIXED"


class MissingSlices(InputError):
    """There is a gap between slices."""

    code = "E_SLICES_MISSING"


class DuplicateSlices(InputError):
    """Two slices are in the same place."""

    code = "E_SLICES_DUPLICATE"


class GantryTilt(InputError):
    """The slices are sheared against their normal."""

    code = "E_GANTRY_TILT"


class BrokenImage(InputError):
    """A PNG, JPEG or TIFF cannot be decoded."""

    code = "E_IMAGE"


class MissingSequence(InputError):
    """The model needs an MR sequence that the case does not have."""

    code = "E_SEQUENCE"


class GridMismatch(InputError):
    """Two images that must share a grid do not."""

    code = "E_GRID"


class NotAligned(InputError):
    """Two scans cannot be registered to each other: not the same head, or too little of it."""

    code = "E_REGISTRATION"


class Mirrored(InputError):
    """A scan fits another of the same head only as its mirror image: left is stored as right."""

    code = "E_MIRRORED"


class NotBrainMr(InputError):
    """The picture is not an MR scan of a human brain, as far as its content shows."""

    code = "E_NOT_BRAIN_MR"


class DifferentPatient(InputError):
    """The headers of scans that are to be compared name different patients."""

    code = "E_PATIENT"


class DatasetLayout(InputError):
    """A data set's folder does not have the named layout."""

    code = "E_DATASET"


class LabelsUnknown(InputError):
    """A mask's labels are not those of the regions that are to be scored."""

    code = "E_LABELS"


class NotAResult(InputError):
    """The folder is not what `brainmets segment` writes, or not all of it."""

    code = "E_RESULT"


class SourceDiffers(InputError):
    """The images given along with a result are not those it was made from."""

    code = "E_SOURCE"


class NothingToExport(InputError):
    """No lesion is left, and the format cannot hold an empty result."""

    code = "E_NO_LESION"


class OptionError(BrainmetsError):
    """An option or setting cannot be used."""

    code = "E_OPTION"


class RecipeError(OptionError):
    """A training recipe cannot be used."""

    code = "E_RECIPE"


class ModelError(BrainmetsError):
    """A bundle or engine cannot be used."""

    code = "E_MODEL"


class UnknownModel(ModelError):
    """No bundle has this name."""

    code = "E_MODEL_UNKNOWN"


class BundleIncomplete(ModelError):
    """A bundle lacks a file or a field."""

    code = "E_BUNDLE_INCOMPLETE"


class BundleTampered(ModelError):
    """A bundle's file differs from its sha256."""

    code = "E_BUNDLE_TAMPERED"


class WrongModelKind(ModelError):
    """A 2-D model was given a volume it cannot serve, or a 3-D model a slice."""

    code = "E_MODEL_KIND"


class EngineMissing(ModelError):
    """The chosen inference engine is not installed."""

    code = "E_ENGINE_MISSING"


class CheckpointMismatch(ModelError):
    """A training checkpoint belongs to another recipe."""

    code = "E_CHECKPOINT"


class ResourceError(BrainmetsError):
    """The computer lacks memory, disk space or a package."""

    code = "E_RESOURCE"


class OutOfMemory(ResourceError):
    """The estimated memory exceeds what is free."""

    code = "E_MEMORY"


class DiskFull(ResourceError):
    """The disk is full."""

    code = "E_DISK"


class OutputExists(ResourceError):
    """The output cannot be written where it was asked for."""

    code = "E_OUTPUT_EXISTS"


class OutputDiffers(ResourceError):
    """What was written does not read back as what was meant."""

    code = "E_OUTPUT_DIFFERS"


class JobError(BrainmetsError):
    """A request to the service was refused or failed."""

    code = "E_JOB"


class UnknownJob(JobError):
    """No job of this caller has this id."""

    code = "E_JOB_UNKNOWN"


class JobNotFinished(JobError):
    """The job has no results yet."""

    code = "E_JOB_NOT_FINISHED"


class JobCancelled(JobError):
    """The job was cancelled."""

    code = "E_JOB_CANCELLED"


class QueueFull(JobError):
    """The service has as many jobs waiting as it takes."""

    code = "E_QUEUE_FULL"


class PoisonJob(JobError):
    """The job killed its worker each time it was tried."""

    code = "E_POISON"


class UploadTooLarge(JobError):
    """The request is larger than the service takes."""

    code = "E_UPLOAD_TOO_LARGE"


class Unauthorised(JobError):
    """The API key is missing or wrong."""

    code = "E_UNAUTHORISED"


class BadRequest(JobError):
    """The request is not of the documented form."""

    code = "E_REQUEST"


class ServiceUnreachable(JobError):
    """The page cannot reach the service."""

    code = "E_SERVICE"


class ServiceStopping(JobError):
    """The service is shutting down and takes nothing more in."""

    code = "E_STOPPING"


class TooManyTries(JobError):
    """Too many requests with wrong API keys came from one address."""

    code = "E_TRIES"


class WorkersStalled(JobError):
    """The service takes jobs in, but its threads that compute them make no progress."""

    code = "E_WORKERS"


class StoreUnavailable(JobError):
    """The service's job list cannot be reached for now."""

    code = "E_STORE"


class StorageUnavailable(ResourceError):
    """The service's data folder cannot be used for now, or a job's files in it are gone."""

    code = "E_STORAGE"


class RecordDamaged(JobError):
    """The job's entry in the job list, or a file of its result, cannot be read."""

    code = "E_RECORD"


class UploadStalled(JobError):
    """The request's body stopped coming."""

    code = "E_STALLED"


class Unforeseen(BrainmetsError):
    """A fault of brainmets that no one foresaw."""

    code = "E_INTERNAL"


def all_errors() -> dict[str, type[BrainmetsError]]:
    """Return every error class by its code."""
    found: dict[str, type[BrainmetsError]] = {}
    waiting: list[type[BrainmetsError]] = [BrainmetsError]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return found
