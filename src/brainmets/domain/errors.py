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
│   ├── ReviewChanged             E_REVIEW_CHANGED
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
    "ReviewChanged",
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
    "explained",
]


class BrainmetsError(Exception):
    """A failure explained in three parts: what was found, what was expected, what to do.

    The text never holds patient data: no header field, no path beyond a file's own name.
    """

    code: ClassVar[str] = "E_BRAINMETS"

    def __init_subclass__(cls, *, code: str | None = None) -> None:
        """Take the code from the class statement; without one a kind has its parent's."""
        cls.code = code or cls.code

    def __init__(self, found: str, *, expected: str, remedy: str) -> None:
        """Keep the three parts, each a clause without a full stop."""
        super().__init__(found, expected, remedy)
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling between a job's child process and its server."""
        return (_rebuild, (type(self), self.found, self.expected, self.remedy))

    def parts(self) -> dict[str, str]:
        """Return what JSON documents hold of the error.

        Returns:
            Its code, what was found, what was expected and the remedy, by these names.
        """
        return {name: getattr(self, name) for name in ("code", "found", "expected", "remedy")}

    def __str__(self) -> str:
        """`E_CODE: what was found; what was expected; what to do`, on one line."""
        text = f"{self.code}: {self.found}; expected {self.expected}; {self.remedy}"
        return " ".join(text.split())


def _rebuild(kind: type[BrainmetsError], found: str, expected: str, remedy: str) -> BrainmetsError:
    return kind(found, expected=expected, remedy=remedy)


class InputError(BrainmetsError, code="E_INPUT"):
    """The file or folder given by the user cannot be used."""


class FileMissing(InputError, code="E_FILE_MISSING"):
    """The file or folder does not exist."""


class UnknownFormat(InputError, code="E_FORMAT"):
    """The content is none of NIfTI, DICOM, zip, PNG, JPEG, TIFF."""


class NotNifti(InputError, code="E_NOT_NIFTI"):
    """The file is named NIfTI but its header is not."""


class Truncated(InputError, code="E_TRUNCATED"):
    """The file ends before its content does."""


class ChecksumMismatch(InputError, code="E_CHECKSUM"):
    """The compressed content does not match its CRC."""


class TooLarge(InputError, code="E_TOO_LARGE"):
    """The header declares, or the file holds, more than the limit."""


class Bomb(InputError, code="E_BOMB"):
    """The content expands far beyond what an image does."""


class Dimensions(InputError, code="E_DIMENSIONS"):
    """The image is not three-dimensional."""


class TooFewSlices(InputError, code="E_ONE_SLICE"):
    """A volume of one or two slices: not a head."""


class NonFinite(InputError, code="E_NONFINITE"):
    """Some voxels are NaN or infinite."""


class ConstantImage(InputError, code="E_CONSTANT"):
    """Every voxel has the same value."""


class SingularAffine(InputError, code="E_AFFINE"):
    """The voxel-to-millimetre matrix has no inverse or is not finite."""


class NoOrientation(InputError, code="E_NO_ORIENTATION"):
    """The header has no orientation."""


class Spacing(InputError, code="E_SPACING"):
    """The voxel spacing is not that of a head."""


class VoxelType(InputError, code="E_VOXEL_TYPE"):
    """Complex, RGB or otherwise unusable voxels."""


class ArchiveBroken(InputError, code="E_ARCHIVE"):
    """The archive cannot be read."""


class ArchiveEmpty(InputError, code="E_ARCHIVE_EMPTY"):
    """The archive holds no file."""


class ArchiveUnsafe(InputError, code="E_ARCHIVE_UNSAFE"):
    """The archive has unsafe entries: links, overlaps, encrypted or absolute names."""


class NoDicom(InputError, code="E_DICOM_NONE"):
    """No readable DICOM image was found."""


class DicomHeader(InputError, code="E_DICOM_HEADER"):
    """A DICOM file lacks an attribute that placing it in space needs."""


class DicomPixels(InputError, code="E_DICOM_PIXELS"):
    """A DICOM file's pixels cannot be decoded."""


class SeveralSeries(InputError, code="E_SERIES_CHOICE"):
    """More than one image series was found: the user must choose one."""


class UnknownSeries(InputError, code="E_SERIES_UNKNOWN"):
    """The chosen series is not among those found."""


class MixedSlices(InputError, code="E_SLICES_MIXED"):
    """Slices of one series differ in size, orientation or spacing."""


class MissingSlices(InputError, code="E_SLICES_MISSING"):
    """There is a gap between slices."""


class DuplicateSlices(InputError, code="E_SLICES_DUPLICATE"):
    """Two slices are in the same place."""


class GantryTilt(InputError, code="E_GANTRY_TILT"):
    """The slices are sheared against their normal."""


class BrokenImage(InputError, code="E_IMAGE"):
    """A PNG, JPEG or TIFF cannot be decoded."""


class MissingSequence(InputError, code="E_SEQUENCE"):
    """The model needs an MR sequence that the case does not have."""


class GridMismatch(InputError, code="E_GRID"):
    """Two images that must share a grid do not."""


class NotAligned(InputError, code="E_REGISTRATION"):
    """Two scans cannot be registered to each other: not the same head, or too little of it."""


class Mirrored(InputError, code="E_MIRRORED"):
    """A scan fits another of the same head only as its mirror image: left is stored as right."""


class NotBrainMr(InputError, code="E_NOT_BRAIN_MR"):
    """The picture is not an MR scan of a human brain, as far as its content shows."""


class DifferentPatient(InputError, code="E_PATIENT"):
    """The headers of scans that are to be compared name different patients."""


class DatasetLayout(InputError, code="E_DATASET"):
    """A data set's folder does not have the named layout."""


class LabelsUnknown(InputError, code="E_LABELS"):
    """A mask's labels are not those of the regions that are to be scored."""


class NotAResult(InputError, code="E_RESULT"):
    """The folder is not what `brainmets segment` writes, or not all of it."""


class SourceDiffers(InputError, code="E_SOURCE"):
    """The images given along with a result are not those it was made from."""


class NothingToExport(InputError, code="E_NO_LESION"):
    """No lesion is left, and the format cannot hold an empty result."""


class OptionError(BrainmetsError, code="E_OPTION"):
    """An option or setting cannot be used."""


class RecipeError(OptionError, code="E_RECIPE"):
    """A training recipe cannot be used."""


class ModelError(BrainmetsError, code="E_MODEL"):
    """A bundle or engine cannot be used."""


class UnknownModel(ModelError, code="E_MODEL_UNKNOWN"):
    """No bundle has this name."""


class BundleIncomplete(ModelError, code="E_BUNDLE_INCOMPLETE"):
    """A bundle lacks a file or a field."""


class BundleTampered(ModelError, code="E_BUNDLE_TAMPERED"):
    """A bundle's file differs from its sha256."""


class WrongModelKind(ModelError, code="E_MODEL_KIND"):
    """A 2-D model was given a volume it cannot serve, or a 3-D model a slice."""


class EngineMissing(ModelError, code="E_ENGINE_MISSING"):
    """The chosen inference engine is not installed."""


class CheckpointMismatch(ModelError, code="E_CHECKPOINT"):
    """A training checkpoint belongs to another recipe."""


class ResourceError(BrainmetsError, code="E_RESOURCE"):
    """The computer lacks memory, disk space or a package."""


class OutOfMemory(ResourceError, code="E_MEMORY"):
    """The estimated memory exceeds what is free."""


class DiskFull(ResourceError, code="E_DISK"):
    """The disk is full."""


class OutputExists(ResourceError, code="E_OUTPUT_EXISTS"):
    """The output cannot be written where it was asked for."""


class OutputDiffers(ResourceError, code="E_OUTPUT_DIFFERS"):
    """What was written does not read back as what was meant."""


class JobError(BrainmetsError, code="E_JOB"):
    """A request to the service was refused or failed."""


class UnknownJob(JobError, code="E_JOB_UNKNOWN"):
    """No job of this caller has this id."""


class JobNotFinished(JobError, code="E_JOB_NOT_FINISHED"):
    """The job has no results yet."""


class JobCancelled(JobError, code="E_JOB_CANCELLED"):
    """The job was cancelled."""


class ReviewChanged(JobError, code="E_REVIEW_CHANGED"):
    """Someone else has saved a review of the job since this one began."""


class QueueFull(JobError, code="E_QUEUE_FULL"):
    """The service has as many jobs waiting as it takes."""


class PoisonJob(JobError, code="E_POISON"):
    """The job killed its worker each time it was tried."""


class UploadTooLarge(JobError, code="E_UPLOAD_TOO_LARGE"):
    """The request is larger than the service takes."""


class Unauthorised(JobError, code="E_UNAUTHORISED"):
    """The API key is missing or wrong."""


class BadRequest(JobError, code="E_REQUEST"):
    """The request is not of the documented form."""


class ServiceUnreachable(JobError, code="E_SERVICE"):
    """The page cannot reach the service."""


class ServiceStopping(JobError, code="E_STOPPING"):
    """The service is shutting down and takes nothing more in."""


class TooManyTries(JobError, code="E_TRIES"):
    """Too many requests with wrong API keys came from one address."""


class WorkersStalled(JobError, code="E_WORKERS"):
    """The service takes jobs in, but its threads that compute them make no progress."""


class StoreUnavailable(JobError, code="E_STORE"):
    """The service's job list cannot be reached for now."""


class StorageUnavailable(ResourceError, code="E_STORAGE"):
    """The service's data folder cannot be used for now, or a job's files in it are gone."""


class RecordDamaged(JobError, code="E_RECORD"):
    """The job's entry in the job list, or a file of its result, cannot be read."""


class UploadStalled(JobError, code="E_STALLED"):
    """The request's body stopped coming."""


class Unforeseen(BrainmetsError, code="E_INTERNAL"):
    """A fault of brainmets that no one foresaw."""


def explained(error: Exception, *, if_memory: str) -> BrainmetsError:
    """Return a `BrainmetsError`; of any other only its type, its text may hold names.

    Args:
        error: what was raised.
        if_memory: what to do where memory was lacking.
    """
    if isinstance(error, BrainmetsError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory(
            "no memory left while working", expected="enough free memory", remedy=if_memory
        )
    return Unforeseen(
        f"an unexpected {type(error).__name__}",
        expected="this not to happen",
        remedy="please report it with the traceback that BRAINMETS_DEBUG=1 shows",
    )


def all_errors() -> dict[str, type[BrainmetsError]]:
    """Return every error class by its code."""
    found: dict[str, type[BrainmetsError]] = {}
    waiting: list[type[BrainmetsError]] = [BrainmetsError]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return found
